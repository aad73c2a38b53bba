"""A report of the small retailer in a real browser without a network: it is whole, legible, and asks for nothing."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.world import World

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CHAPTERS = {
    "At a glance",
    "By number of places",
    "Repeats and discoveries",
    "Kinds of question",
    "Probabilities",
    "By group of customers",
    "Candidate sources",
    "What is shown",
    "What was learned",
    "Data and settings",
    "How to read this",
}
OUTSIDE = """picture => {
    const frame = picture.getBoundingClientRect();
    return [...picture.querySelectorAll('text')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 3 || box.right > frame.right + 3
            || box.top < frame.top - 3 || box.bottom > frame.bottom + 3;
    }).map(text => text.textContent);
}"""
BRIGHTNESS = """element => {
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.backgroundColor;
    return color.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part) / 765, 0);
}"""


@pytest.fixture(scope="module")
def report(trained_world: World) -> Path:
    (made,) = trained_world.settings.reports_dir.glob("*.html")
    return made.resolve()


def opened(browser: Browser, report: Path, size: dict[str, int], *, scheme: str = "light") -> tuple[Page, list[str]]:
    """The page in a window of this size, offline, and all it requested or complained of."""
    context = browser.new_context(viewport=size, offline=True, color_scheme=scheme)  # type: ignore[arg-type]
    page, heard = context.new_page(), []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(report.as_uri())
    return page, heard


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page_shows_all_plots_and_asks_for_nothing(browser: Browser, report: Path, size: dict[str, int]) -> None:
    page, heard = opened(browser, report, size)
    assert page.title() == page.locator("h1").inner_text() == "Evaluation"
    assert set(page.locator("h2").all_inner_texts()) == CHAPTERS
    pictures = page.locator("figure svg").all()
    assert len(pictures) >= 12
    for picture in pictures:
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] >= 300
        assert box["height"] >= 100
        assert picture.is_visible()
        assert picture.evaluate(OUTSIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert heard == [report.as_uri()]
    page.context.close()


def test_figures_behind_a_plot_unfold_and_links_lead_to_sections(browser: Browser, report: Path) -> None:
    page, heard = opened(browser, report, PHONE)
    details = page.locator("details").first
    assert not details.locator("table").is_visible()
    details.locator("summary").click()
    assert details.locator("table").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(f"section{link.get_attribute('href')}").is_visible()
    assert {url.split("#")[0] for url in heard} == {report.as_uri()}
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_by_day_and_by_night(browser: Browser, report: Path, scheme: str) -> None:
    page, _ = opened(browser, report, DESKTOP, scheme=scheme)
    paper = page.locator("body").evaluate(BRIGHTNESS)
    assert (paper > 0.5) == (scheme == "light")
    letters = page.locator("figure svg text").evaluate_all(f"all => all.map({BRIGHTNESS})")
    assert letters
    assert min(abs(paper - letter) for letter in letters) > 0.4
    page.context.close()


def test_printed_page_is_light_and_cuts_no_table_off(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, {"width": 720, "height": 1000}, scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("body").evaluate(BRIGHTNESS) > 0.9
    widths = page.locator("section > .wide table").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert widths
    assert max(widths) <= 720
    page.context.close()
