"""The products feed is looked at on its schedule, by a process of its own, while the worker runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

from app.composition.launch import own_command
from app.settings import Settings
from app.stores.tables.feed_state import FeedState, read_state, write_state
from app.stores.tables.layers import PRODUCTS, LayeredTable
from app.worker.feed import feed_schedule
from tests.support.server import serving, wait_until
from tests.unit.imports.feed.web import Web, serving_web


@pytest.fixture
def web() -> Iterator[Web]:
    with serving_web() as web:
        web.content = b"id\ttitle\tprice\n1\tOne\t1.99 EUR\n"
        yield web


def settings_of(web: Web, tmp_path: Path, interval_s: int) -> Settings:
    return Settings.load(data_dir=tmp_path, product_feed_url=web.url, product_feed_interval_s=interval_s)


def test_feed_is_looked_at_again_and_again_and_servers_say_how_it_is(
    web: Web, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(web, tmp_path, 1)
    # The process that looks reads its settings from the environment, as the worker does.
    monkeypatch.setenv("ENDCAP_PRODUCT_FEED_URL", web.url)
    with feed_schedule(settings, own_command(), check_s=0.1):
        wait_until(lambda: 304 in web.statuses, "the feed is looked at again")
        web.status = 500
        wait_until(lambda: read_state(settings.feeds_dir).problem is not None, "the failure is noted")
    assert LayeredTable(settings.tables_dir, PRODUCTS).stored()["name"].to_list() == ["One"]
    with serving(settings, valkey) as client:
        wait_until(lambda: "endcap_product_feed_up 0.0" in client.get("/metrics").text, "the metric says so")
        assert "endcap_product_feed_products 1.0" in client.get("/metrics").text


def test_new_worker_waits_for_the_rest_of_the_interval(web: Web, tmp_path: Path) -> None:
    settings, looked_at = settings_of(web, tmp_path, 2), tmp_path / "looked"
    settings.feeds_dir.mkdir()
    begun_at = time()
    write_state(settings.feeds_dir, FeedState(attempted_at=begun_at))
    command = [sys.executable, "-c", f"import time; open({str(looked_at)!r}, 'a').write(str(time.time()))"]
    with feed_schedule(settings, command, check_s=0.05):
        wait_until(lambda: looked_at.exists() and looked_at.read_text(), "the feed was looked at")
    assert float(looked_at.read_text()) >= begun_at + 2
