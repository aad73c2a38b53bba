"""The products feed by URL: what is gone is withdrawn, what is back returns, what cannot be right changes nothing."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from app.errors import BadInput
from app.imports.feed.fetch import FeedUnavailable
from app.imports.feed.refresh import FeedRefused, FeedReport, refresh
from app.imports.undo import list_imports
from app.settings import Settings
from app.stores.tables.feed_state import read_state
from app.stores.tables.layers import GIVEN, PRODUCTS, LayeredTable
from tests.unit.imports.feed.web import Web, serving_web

NOW = datetime(2026, 10, 1, tzinfo=UTC)
XML = """<rss xmlns:g="http://base.google.com/ns/1.0"><channel>
<item><g:id>1</g:id><title>One</title><g:price>1.99 EUR</g:price></item>
<item><g:id>2</g:id><title>Two</title><g:price>2.99 EUR</g:price></item>
</channel></rss>"""


@pytest.fixture
def web() -> Iterator[Web]:
    with serving_web() as web:
        yield web


@pytest.fixture
def settings(web: Web, tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, product_feed_url=web.url)


def tsv(*products: Sequence[str]) -> bytes:
    """A feed for Google's Merchant Center."""
    rows = [("id", "title", "price"), *products]
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def look(settings: Settings, *, hour: int = 0, accepts_fewer: bool = False) -> FeedReport:
    return refresh(settings, now=NOW + timedelta(hours=hour), accepts_fewer=accepts_fewer)


def shown(settings: Settings) -> dict[str, tuple[str, int]]:
    """Name and price of what may be recommended."""
    table = LayeredTable(settings.tables_dir, PRODUCTS).stored()
    if "recommendable" in table.columns:
        table = table.filter(pl.col("recommendable").ne_missing("no"))
    return {row["product_id"]: (row["name"], row["price_minor"]) for row in table.rows(named=True)}


ONE, TWO, THREE = ("1", "One", "1.99 EUR"), ("2", "Two", "2.99 EUR"), ("3", "Three", "3.99 EUR")


def test_feed_is_imported_when_it_changed_with_a_report_of_what(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO)
    assert look(settings).is_changed
    assert not look(settings, hour=1).is_changed
    web.content = tsv(ONE, ("2", "Two", "2.49 EUR"), THREE)
    changes = look(settings, hour=2).changes
    assert changes.counts == {"new": 1, "changed": 1, "gone": 0, "prices": 1}
    assert (changes.new, changes.changed) == (["3"], ["2"])
    assert changes.prices == [{"product_id": "2", "before": 299, "after": 249, "currency": "EUR"}]
    assert shown(settings) == {"1": ("One", 199), "2": ("Two", 249), "3": ("Three", 399)}
    assert [(one.record.by, one.record.table) for one in list_imports(settings)] == [("product feed", "products")] * 2
    reports = sorted(settings.feeds_dir.glob("report-*.json"))
    assert json.loads(reports[-1].read_bytes())["changes"]["counts"] == changes.counts


def test_xml_feed_says_the_same_as_one_of_lines(web: Web, settings: Settings) -> None:
    web.content = XML.encode()
    look(settings)
    assert shown(settings) == {"1": ("One", 199), "2": ("Two", 299)}


def test_product_that_is_gone_is_withdrawn_until_it_is_back(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO, THREE)
    look(settings)
    web.content = tsv(ONE, TWO)
    assert look(settings, hour=1).withdrawn_count == 1
    assert set(shown(settings)) == {"1", "2"}
    web.content = tsv(ONE, TWO, THREE)
    assert look(settings, hour=2).returned_count == 1
    assert set(shown(settings)) == {"1", "2", "3"}


def test_what_somebody_else_withdrew_does_not_come_back_with_the_feed(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO, THREE)
    look(settings)
    table = LayeredTable(settings.tables_dir, PRODUCTS)
    withdrawn = pl.DataFrame({"product_id": ["3"], "recommendable": ["no"], GIVEN: [["recommendable"]]})
    table.put_cells(withdrawn, now=NOW)
    for hour, feed in enumerate((tsv(ONE, TWO), tsv(ONE, TWO, THREE)), start=1):
        web.content = feed
        look(settings, hour=hour)
    assert set(shown(settings)) == {"1", "2"}


def test_feed_with_fewer_than_half_of_its_products_changes_nothing(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO, THREE)
    look(settings)
    web.content = tsv(("1", "One", "9.99 EUR"))
    with pytest.raises(FeedRefused, match="1 of the 3 products"):
        look(settings, hour=1)
    assert shown(settings)["1"] == ("One", 199)
    assert "fewer than half" in str(read_state(settings.feeds_dir).problem)
    assert look(settings, hour=2, accepts_fewer=True).withdrawn_count == 2
    assert shown(settings) == {"1": ("One", 999)}
    assert read_state(settings.feeds_dir).problem is None


def test_product_whose_row_is_faulty_is_not_gone(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO)
    look(settings)
    web.content = tsv(ONE, ("2", "Two", "-1 EUR"))
    report = look(settings, hour=1)
    assert (report.withdrawn_count, report.imports[0].rows_rejected) == (0, 1)
    assert shown(settings)["2"] == ("Two", 299)


@pytest.mark.parametrize(
    "content", [b"", b"id\ttitle\tprice\n", b"<html><body>Sign in</body></html>", XML.encode()[:200]]
)
def test_feed_that_is_none_changes_nothing_and_is_noted(web: Web, settings: Settings, content: bytes) -> None:
    web.content = tsv(ONE, TWO)
    look(settings)
    web.content = content
    with pytest.raises(BadInput):
        look(settings, hour=1)
    assert set(shown(settings)) == {"1", "2"}
    assert read_state(settings.feeds_dir).problem


def test_feed_that_is_away_keeps_the_last_state_and_says_so(web: Web, settings: Settings) -> None:
    web.content = tsv(ONE, TWO)
    look(settings)
    web.status = 500
    with pytest.raises(FeedUnavailable):
        look(settings, hour=1)
    state = read_state(settings.feeds_dir)
    assert (state.succeeded_at, state.attempted_at) == (NOW.timestamp(), NOW.timestamp() + 3600)
    assert "answered 500" in str(state.problem)
    web.status = 200
    assert not look(settings, hour=2).is_changed
    assert read_state(settings.feeds_dir).problem is None
