"""A shop's page in a real browser, on an origin of its own: the page of docs/access.md, for its own visitor alone."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.engine import open_ledger
from tests.api.pages.persons import PublishableKey, publishable_key
from tests.support.server import serving
from tests.support.world import World, customer, product
from tests.test_docs_snippets import snippet

ME, OTHER = customer("tea", 0), customer("coffee", 0)


class ShopSite(BaseHTTPRequestHandler):
    """An empty page, and the token of its visitor, as `token` has it then."""

    token = ""

    def do_GET(self) -> None:
        self._answer("text/html", b"<!doctype html><title>Shop</title>")

    def do_POST(self) -> None:
        ends_at = int(time() + 600) * 1000
        self._answer("application/json", json.dumps({"token": type(self).token, "endsAt": ends_at}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self, media_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass(frozen=True, slots=True)
class Shop:
    """A running Endcap, the key of the shop's pages, and the port of the shop's own site."""

    endcap: str
    key: PublishableKey
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def shop(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The service, and the shop's site on another port, which is another origin."""
    ledger_url = f"sqlite:///{tmp_path_factory.mktemp('page')}/ledger.db"
    settings: Settings = trained_world.settings.model_copy(update={"database_url": ledger_url})
    site = ThreadingHTTPServer(("127.0.0.1", free_port()), ShopSite)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        with serving(settings, trained_world.redis_url) as client:
            ledger = open_ledger(settings.ledger_url)
            key = publishable_key(ledger, f"http://127.0.0.1:{site.server_port}", per_second=1000)
            ledger.close()
            # As somebody who knows the key: from then on this process has read it.
            client.post("/v1/decisions", headers=key.headers(origin=None, customer_id=ME))
            yield Shop(str(client.base_url).rstrip("/"), key, site.server_port)
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


def opened(browser: Browser, shop: Shop, origin: str, token: str) -> Page:
    """The shop's page with the script of docs/access.md, its visitor's token being this."""
    ShopSite.token = token
    page = browser.new_page()
    page.goto(origin)
    script = snippet("js", "reportView").replace("https://endcap.shop.example", shop.endcap)
    page.add_script_tag(content=script.replace("endcap_pub_…", shop.key.key))
    return page


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    """The page of the shop's customer."""
    found = opened(browser, shop, shop.origin, shop.key.token(customer_id=ME))
    yield found
    found.close()


def refusal(page: Page, path: str, body: dict[str, Any]) -> str:
    """The code of the error that the page reads; "unreadable" where the browser shows it none."""
    script = """async ([path, body]) => {
      try { await endcap(path, body); return "answered"; }
      catch (error) { return error.code ?? (error instanceof TypeError ? "unreadable" : String(error)); }
    }"""
    code: str = page.evaluate(script, [path, body])
    return code


def test_page_of_another_origin_shows_its_visitor_s_decision_and_reports_what_they_do(page: Page) -> None:
    propositions = page.evaluate("showHome()")
    assert {one["product_id"].split("-")[0] for one in propositions} == {"tea"}
    reported = page.evaluate(f"reportView({product('tea', 1)!r})")
    assert [row["status"] for row in reported["results"]] == ["accepted"]
    # The page before the script runs on another origin, and has no cookie.
    assert page.evaluate("document.cookie") == ""


def test_page_is_refused_what_is_not_its_visitor_s(page: Page) -> None:
    question = {"placement": "web_home"}
    assert refusal(page, "/v1/decisions", question) == "answered"
    assert refusal(page, "/v1/decisions", question | {"customer_id": OTHER}) == "other_person"
    assert refusal(page, "/v1/decisions", question | {"explain": True}) == "not_for_pages"
    rows = [{"id": "1", "type": "purchase", "time": "2026-10-01T12:00:00Z", "product_id": product("tea", 1)},
            {"id": "2", "type": "search", "time": "2026-10-01T12:00:00Z", "customer_id": OTHER}]  # fmt: skip
    results = page.evaluate("rows => endcap('/v1/events', {events: rows})", rows)["results"]
    assert [row["code"] for row in results] == ["type_not_allowed", "other_person"]


def test_page_reaches_no_wallet_not_even_its_visitor_s(page: Page, shop: Shop) -> None:
    for address in (f"/v1/customers/{ME}/wallet", f"/v1/customers/{OTHER}/wallet"):
        assert refusal(page, address, {}) == "unreadable"
        script = """([url, key]) => fetch(url, {headers: {"X-API-Key": key, "Authorization": `Bearer ${token}`}})
          .then(answer => answer.text(), error => "unreadable")"""
        assert page.evaluate(script, [shop.endcap + address, shop.key.key]) == "unreadable"


@pytest.mark.parametrize("why", ["ended", "tampered"])
def test_page_reads_that_its_token_is_not_good(browser: Browser, shop: Shop, why: str) -> None:
    sign = partial(shop.key.token, customer_id=ME)
    header, _, signature = sign().split(".")
    tokens = {
        "ended": sign(iat=int(time()) - 900, exp=int(time()) - 120),
        "tampered": ".".join((header, shop.key.token(customer_id=OTHER).split(".")[1], signature)),
    }
    page = opened(browser, shop, shop.origin, tokens[why])
    assert refusal(page, "/v1/decisions", {"placement": "web_home"}) == "invalid_token"
    page.close()


def test_page_of_an_origin_that_is_not_listed_gets_nothing(browser: Browser, shop: Shop) -> None:
    # The same site by its other name: its own server even signs a token for it.
    page = opened(browser, shop, f"http://localhost:{shop.port}", shop.key.token(customer_id=ME))
    assert refusal(page, "/v1/decisions", {"placement": "web_home"}) == "unreadable"
    # Sent without a question first, as browsers send plain forms: it carries no key, and its answer is not shown.
    script = "url => fetch(url, {method: 'POST', body: '{}'}).then(() => 'read', () => 'unreadable')"
    assert page.evaluate(script, f"{shop.endcap}/v1/events") == "unreadable"
    page.close()


def test_origin_is_checked_of_whoever_is_no_browser_too(shop: Shop) -> None:
    for origin in ("http://localhost:1", None):
        headers = shop.key.headers(origin=origin, customer_id=ME)
        answer = httpx.post(f"{shop.endcap}/v1/decisions", json={"placement": "web_home"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
