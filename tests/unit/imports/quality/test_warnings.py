"""What a report warns of though every row is sound, and that it keeps quiet where all is well."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.imports import ImportReport
from app.imports.run import Sources, run_imports
from app.settings import Settings
from tests.support.world import no_progress

HEADER = "customer_id,product_id,basket_id,timestamp,quantity,amount,store_id,currency,type"
SOUND = [f"c{n % 40},p{n % 7},b{n},2026-03-{1 + n % 28:02},1,{1 + n % 9}.99,s{n % 3},EUR,sale" for n in range(200)]


def report(tmp_path: Path, lines: list[str], header: str = HEADER) -> ImportReport:
    path = tmp_path / "sales.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    settings = Settings.load(data_dir=tmp_path / "var")
    now = datetime(2026, 11, 29, tzinfo=UTC)
    [found] = run_imports(settings, Sources(files=(path,)), shift_to_now=False, now=now, progress=no_progress)
    return found


def test_a_file_without_anything_odd_is_not_warned_of(tmp_path: Path) -> None:
    assert report(tmp_path, SOUND).warnings == ()


@pytest.mark.parametrize(
    ("further", "words"),
    [
        (
            ["C1,p1,x1,2026-03-01,1,1,s1,EUR,sale"],
            "1 customers differ from others by the form of their ids only, as 'C1'",
        ),
        (
            [f"-1,p1,x{n},2026-03-01,1,1,s1,EUR,sale" for n in range(3)],
            "customer '-1' has 3 baskets: if that is nobody, say so with `missing` in a mapping",
        ),
        (["c1,p-1,x1,2026-03-01,1,1,s1,EUR,sale"], "1 products differ from others by the form"),
        (["c1,POST,x1,2026-03-01,1,1,s1,EUR,sale"], "POST look like fees and not like products"),
        (["c1,p1,b2,2026-03-01,1,1,s9,EUR,sale"], "1 basket ids are those of several stores or customers"),
        (["c1,p1,x1,2026-03-01,1,1,s1,EUR,sale"] * 3, "2 rows are equal to another one of the file"),
        (["c1,p1,x1,2026-03-01,1,1,s1,USD,sale"], "several currencies, kept apart: 200 in EUR, 1 in USD"),
        ([f"c{n},p1,x{n},2026-03-01,-1,99,s1,EUR,sale" for n in range(30)], "more money was refunded than paid"),
        (["c1,p1,x1,2026-03-01,1,99999,s1,EUR,sale"], "one row has over half of all the money"),
        (["c1,p1,x1,2026-03-01,0,1,s1,EUR,sale"], "1 rows have no quantity"),
        (["c1,p1,x1,1900-01-01,1,1,s1,EUR,sale"], "1 rows are from before 1990"),
        ([f"c{n},p1,x{n},,1,1,s1,EUR,sale" for n in range(60)], "23% of the rows have no time"),
        ([f"c1,p1,x{n},2026-03-01,1,1,s1,EUR,sale" for n in range(30)], "customer 'c1' has 15% of all rows"),
    ],
)
def test_what_is_odd_is_named_with_how_much_of_it(tmp_path: Path, further: list[str], words: str) -> None:
    found = report(tmp_path, [*SOUND, *further])
    assert any(words in warning for warning in found.warnings), found.warnings
    assert len(found.warnings) == 1
    assert f"  warning: {found.warnings[0]}" in found.lines()


def test_rows_of_no_known_kind_are_said_to_be_taken_as_purchases(tmp_path: Path) -> None:
    found = report(tmp_path, ["a,b", "c,d"], header="customer_id,product_id")
    assert found.warnings == ("all 2 rows are taken as purchases: no column says otherwise",)


def test_reasons_of_refusal_are_counted_with_an_example_each(tmp_path: Path) -> None:
    found = report(tmp_path, [*SOUND, ",,,,,1,,,sale", "c1,,x,soon,1,1,s1,EUR,sale", "c1,p1,x,,1,1,s1,EUR,maybe"])
    assert found.reasons == {
        "product_id: missing": 2,
        "customer_id: missing": 1,
        "timestamp: "
        + next(reason for reason in found.reasons if "not a time" in reason).removeprefix("timestamp: "): 1,
        "type: nobody knows whether this is a purchase: say so in a mapping": 1,
    }
    assert found.examples["product_id: missing"] == "line 202, ,,,,,1,,,sale"
    shown = found.lines()
    assert "  2 × product_id: missing: line 202, ,,,,,1,,,sale" in shown
    assert any(
        line.startswith("  columns not used")
        for line in report(tmp_path, ["a,b,c"], header="customer_id,product_id,colour").lines()
    )
