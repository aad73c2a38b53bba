"""The API's reference page in a real browser that reaches nothing but the service: shown, unlocked, tried out."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.server import serving
from tests.support.world import World

KEY = "a-key-of-decent-length"


@pytest.fixture(scope="module")
def address(trained_world: World) -> Iterator[str]:
    """Where a service listens that wants a key."""
    settings = trained_world.settings.model_copy(update={"api_key": KEY})
    with serving(settings, trained_world.redis_url) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def reference(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """The page, and every request to another host and every error in it."""
    page, faults = browser.new_page(), []

    def pass_on(route: Route) -> None:
        if route.request.url.startswith(f"{address}/"):
            route.continue_()
        else:
            faults.append(route.request.url)
            route.abort()

    page.route("**/*", pass_on)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{address}/docs")
    # The first page of a service waits until the document is built.
    page.get_by_role("heading", name="Endcap").wait_for(timeout=60_000)
    yield page, faults
    page.close()


def test_page_shows_every_tag_without_another_host(reference: tuple[Page, list[str]]) -> None:
    page, faults = reference
    expect(page.locator(".opblock-tag")).to_have_count(9)
    assert page.locator(".opblock-tag").first.get_attribute("data-tag") == "decisions"
    assert faults == []


def test_decision_is_tried_out_with_its_example_once_a_key_is_given(reference: tuple[Page, list[str]]) -> None:
    page, faults = reference
    operation = page.locator("#operations-decisions-decide")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    body = json.loads(operation.locator("textarea.body-param__text").input_value())
    assert (body["customer_id"], body["placement"]) == ("900", "app_home")
    with page.expect_response("**/v1/decisions") as refused:
        operation.get_by_role("button", name="Execute").click()
    assert refused.value.status == 401

    page.locator(".scheme-container").get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    secret_key = dialog.locator("form").filter(has_text="bearer (http, Bearer)")
    secret_key.locator("input").fill(KEY)
    secret_key.get_by_role("button", name="Apply credentials").click()
    secret_key.get_by_role("button", name="Close").click()

    with page.expect_response("**/v1/decisions") as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    assert answered.value.json()["propositions"]
    expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    assert faults == []
