"""How a file is read is decided once for all of it, and left to a person where it could be two ways."""

from pathlib import Path

import polars as pl
import pytest

from app.errors import BadInput
from app.imports.mapping.load import file_form
from app.imports.plan import opened, plan_of, zones_of_stores
from app.imports.reading.table_file import whole

HEADER = "customer_id,product_id,timestamp,quantity,amount\n"


def rows(tmp_path: Path, *lines: str, header: str = HEADER, **stated: object) -> list[tuple[object, ...]]:
    """The lines as a file is read, in the columns timestamp, quantity and amount."""
    path = tmp_path / "sales.csv"
    path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    plan = plan_of(path, "transactions", time_zone="UTC", stated=file_form(**stated))
    return whole(opened(plan)).frame.select("timestamp", "quantity", "amount").rows()


def test_a_day_above_12_anywhere_decides_for_all_dates(tmp_path: Path) -> None:
    read = rows(tmp_path, "c,p,02/01/2010,1,1", "c,p,31/01/2010,1,1")
    assert [row[0] for row in read] == ["2010-01-02T00:00:00.000000Z", "2010-01-31T00:00:00.000000Z"]


def test_dates_that_could_be_two_days_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="02/01/2010 may have the day or the month first; say which with --date-order"):
        rows(tmp_path, "c,p,02/01/2010,1,1")
    assert rows(tmp_path, "c,p,02/01/2010,1,1", date_order="month-first")[0][0] == "2010-02-01T00:00:00.000000Z"


def test_number_that_could_be_two_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'amount': numbers such as 1,234 .* --decimal point or --decimal comma"):
        rows(tmp_path, 'c,p,,1,"1,234"')
    assert rows(tmp_path, 'c,p,,1,"1,234"', decimal="point")[0][2] == "1234"
    assert rows(tmp_path, 'c,p,,1,"1,234"', decimal="comma")[0][2] == "1.234"


def test_thousandths_next_to_a_decimal_comma_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'quantity': numbers such as 1\.500"):
        rows(tmp_path, 'c,p,,1.500,"2,55"')


def test_time_without_a_zone_is_in_the_stated_one(tmp_path: Path) -> None:
    stated = "Europe/Berlin"
    read = rows(
        tmp_path, "c,p,2026-07-01 12:00,1,1", "c,p,2026-07-01T12:00Z,1,1", "c,p,1782907200,1,1", time_zone=stated
    )
    assert [row[0] for row in read] == [
        "2026-07-01T10:00:00.000000Z",
        "2026-07-01T12:00:00.000000Z",
        "2026-07-01T12:00:00.000000Z",
    ]


@pytest.mark.parametrize("seconds", ["", ":00"])
def test_time_that_clocks_skip_is_none_of_another_zone_either(tmp_path: Path, seconds: str) -> None:
    [[time, *_]] = rows(tmp_path, f"c,p,2026-03-29 02:30{seconds},1,1", time_zone="Europe/Berlin")
    assert time == f"2026-03-29 02:30{seconds} (in Europe/Berlin clocks were put forward)"


@pytest.mark.parametrize(
    ("stated", "words"),
    [({"time_zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"), ({"decimal": "dot"}, "decimal")],
)
def test_what_no_file_has_is_refused(stated: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        file_form(**stated)


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    assert rows(tmp_path, "c,p,12.2010.31,1,1", date_format="%m.%Y.%d")[0][0] == "2010-12-31T00:00:00.000000Z"
    with pytest.raises(BadInput, match="--date-format: not a format of dates"):
        rows(tmp_path, "c,p,12.2010.31,1,1", date_format="%Q")


def test_time_without_a_zone_is_in_that_of_its_store_unless_one_is_stated(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(
        "customer_id,product_id,store_id,timestamp\nc,p,1,2026-03-08 23:30\nc,p,2,2026-03-08 23:30\n"
        "c,p,,2026-03-08 23:30\nc,p,1,2026-03-08 23:30Z\n"
    )
    stores = tmp_path / "tables" / "stores.parquet"
    stores.parent.mkdir()
    pl.DataFrame({"store_id": ["1", "2", "3"], "time_zone": ["America/New_York", None, "Moon"]}).write_parquet(stores)
    zones = zones_of_stores(stores.parent)
    plan = plan_of(path, "transactions", time_zone="UTC", store_zones=zones)
    hours = [str(time)[8:16] for time in whole(opened(plan)).frame["timestamp"]]
    assert hours == ["09T03:30", "08T23:30", "08T23:30", "08T23:30"]
    stated = plan_of(path, "transactions", time_zone="UTC", store_zones=zones, stated=file_form(time_zone="UTC"))
    assert stated.in_zones(zones).reading.store_zones is None
