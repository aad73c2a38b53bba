"""A look at a file says what an import would make of it, counted over all rows, and writes nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.commands.imports.preview_text import preview_parts
from app.errors import BadInput
from app.imports.mapping.load import parse_mapping
from app.imports.mapping.toml import to_toml
from app.imports.plan import plan_of
from app.imports.preview.preview import Preview, preview_of, preview_of_unclear
from app.settings import Settings

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ORDERS = (
    "Order No;Order Date;Client;Article;Qty;Price;Colour\n"
    "1;31.10.2026;anna;tee;2;9,90;red\n"
    "1;31.10.2026;anna;mug;1;5,00;\n"
    "2;02.11.2026;;mug;-1;5,00;\n"
    "3;03.11.2026;bob;;1;5,00;\n"
)


def preview(tmp_path: Path, content: str) -> Preview:
    path = tmp_path / "orders.csv"
    path.write_text(content, encoding="utf-8")
    settings = Settings.load(data_dir=tmp_path / "var")
    plan = plan_of(path, None, time_zone="UTC")
    return preview_of(settings, path, plan, now=NOW, command="endcap import orders.csv")


def test_rows_are_counted_by_what_becomes_of_them_and_nothing_is_written(tmp_path: Path) -> None:
    seen = preview(tmp_path, ORDERS)
    assert seen.table == "transactions"
    assert dict(seen.rows) == {"purchase": 2, "refund": 1}
    assert dict(seen.refused) == {"product_id: missing": 1}
    assert seen.examples["product_id: missing"] == "line 5: 3;03.11.2026;bob;;1;5,00;"
    assert seen.counts == {"customers": 1, "products": 2, "baskets": 2, "guest rows": 1}
    assert dict(seen.totals) == {"EUR": 1980}
    assert (seen.first_at, seen.last_at) == (datetime(2026, 10, 31), datetime(2026, 11, 2))  # noqa: DTZ001 - naive UTC
    assert not (tmp_path / "var").exists()


def test_each_column_is_shown_with_its_meaning_and_how_it_is_read(tmp_path: Path) -> None:
    views = {view.name: view for view in preview(tmp_path, ORDERS).columns}
    assert (views["client"].meaning, views["client"].confidence, views["client"].missing) == (
        "customer_id",
        "likely",
        0.25,
    )
    assert views["price"].meaning == "amount"
    assert views["price"].read_as == "number with a decimal comma"
    assert views["order date"].read_as == "time, day first, UTC where it names no zone"
    assert (views["colour"].meaning, views["colour"].confidence) == ("", "not used")
    assert views["article"].samples == ("tee", "mug")


def test_what_a_file_lacks_is_shown_with_what_that_switches_off(tmp_path: Path) -> None:
    assert [words.split(" ")[1] for words in preview(tmp_path, "user,item\na,b\n").missing] == [
        "times", "baskets", "amounts", "quantities", "stores",
    ]  # fmt: skip


def test_a_guess_is_given_as_a_mapping_that_reads_the_file_alike(tmp_path: Path) -> None:
    seen = preview(tmp_path, ORDERS)
    stated = parse_mapping(seen.mapping, name="guess")
    again = preview_of(
        Settings.load(data_dir=tmp_path / "var"),
        tmp_path / "orders.csv",
        plan_of(tmp_path / "orders.csv", None, time_zone="UTC", mapping=stated),
        now=NOW,
        command="",
    )
    assert (again.rows, again.totals, again.refused) == (seen.rows, seen.totals, seen.refused)
    assert to_toml(stated) == seen.mapping


def test_a_file_that_could_be_read_in_two_ways_shows_its_columns_and_the_question(tmp_path: Path) -> None:
    content = ORDERS.replace("31.10.2026", "01/10/2026").replace("02.11.2026", "02/11/2026").replace("03.11", "03/11")
    with pytest.raises(BadInput) as unclear:
        preview(tmp_path, content)
    seen = preview_of_unclear(tmp_path / "orders.csv", unclear.value, command="")
    assert "say which with --date-order" in seen.question
    assert [view.meaning for view in seen.columns][:4] == ["basket_id", "timestamp", "customer_id", "product_id"]
    assert seen.to_dict()["first_at"] is None


def text_of(seen: Preview) -> str:
    return "\n".join(part for part in preview_parts(seen) if isinstance(part, str))


def test_a_file_of_which_no_row_would_come_in_is_not_offered_for_import(tmp_path: Path) -> None:
    assert "To import it: endcap import orders.csv" in text_of(preview(tmp_path, ORDERS))
    for content in ("customer_id,product_id,timestamp\nanna,tea,44000\n", "product_id,price\ntea,cheap\n"):
        refused = preview(tmp_path, content)
        assert refused.is_refused_whole()
        assert "As it is no row of it would come in" in text_of(refused)
        assert "To import it" not in text_of(refused)


def test_rows_without_a_column_of_kinds_are_said_to_be_taken_as_purchases(tmp_path: Path) -> None:
    lines = "customer_id,product_id,timestamp{}\nanna,tea,2026-11-01{}\n"
    words = "all 1 rows are taken as purchases"
    assert words in text_of(preview(tmp_path, lines.format("", "")))
    assert words not in text_of(preview(tmp_path, lines.format(",order_status", ",paid")))


def test_events_are_counted_and_checked_as_in_an_import(tmp_path: Path) -> None:
    event = '{{"id":"e{0}","type":"{1}","time":"2026-11-2{0}T10:00:00Z","customer_id":"c","product_id":"p"}}'
    lines = [event.format(1, "view_item"), event.format(2, "add_to_cart"), event.format(3, "page_view")]
    seen = preview(tmp_path, "\n".join(lines))
    assert dict(seen.rows) == {"view_item": 1, "add_to_cart": 1}
    assert sum(seen.refused.values()) == 1
    assert (seen.first_at, seen.last_at) == (datetime(2026, 11, 21, 10), datetime(2026, 11, 22, 10))  # noqa: DTZ001 - naive UTC
    assert seen.counts["customers"] == 1
