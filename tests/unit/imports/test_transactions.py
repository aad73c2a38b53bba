"""Transactions: every good row comes in once, every bad one is listed, the same file again changes nothing."""

import csv
import gzip
import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.errors import BadInput
from app.history import History
from app.history.rows import SCHEMA
from app.imports import ImportReport, import_transactions
from app.imports.reading.table_file import open_table
from app.imports.transactions import import_lines
from app.settings import Settings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HEADER = "customer_id,product_id,basket_id,timestamp,quantity,amount"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _file(tmp_path: Path, lines: Iterable[str], *, name: str = "sales.csv", header: str = HEADER) -> Path:
    file = tmp_path / name
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return file


def _line(n: int) -> str:
    return f"c{n % 7},p{n},b{n % 50},2026-03-{1 + n % 28:02}T10:00:00Z,{1 + n % 3},{n % 900}.99"


def _import(settings: Settings, file: Path, *, shift_to_now: bool = False, now: datetime = NOW) -> ImportReport:
    return import_transactions(settings, file, shift_to_now=shift_to_now, now=now, progress=lambda done, total: None)


def _stored(settings: Settings) -> pl.DataFrame:
    return History(settings.history_dir).scan().collect()


def _refused(report: ImportReport) -> list[dict[str, str]]:
    assert report.rejects_path is not None
    with report.rejects_path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_columns_arrive_as_the_history_has_them(tmp_path: Path, settings: Settings) -> None:
    header = f"{HEADER},discount,coupon_id,store_id,channel,currency,colour"
    file = _file(tmp_path, ["007, p1,b1,2026-03-01T10:00:00+01:00,2,1.99,0.5,k1,s1,Web,USD,red"], header=header)
    report = _import(settings, file)
    stored = _stored(settings)
    assert stored.schema == SCHEMA
    assert stored["import_id"].to_list() == [report.import_id]
    assert stored.drop("row_id", "import_id").rows(named=True) == [
        {
            "source": "import",
            "type": "purchase",
            "time": datetime(2026, 3, 1, 9, tzinfo=UTC),
            "customer_id": "007",
            "anonymous_id": None,
            "product_id": "p1",
            "basket_id": "b1",
            "quantity": 2.0,
            "amount_minor": 199,
            "currency": "USD",
            "store_id": "s1",
            "channel": "web",
            "discount_minor": 50,
            "coupon_id": "k1",
            "session_id": None,
            "decision_id": None,
        }
    ]
    assert report.ignored_columns == ("colour",)
    assert report.rejects_path is None


def test_row_ids_never_change(tmp_path: Path, settings: Settings) -> None:
    """These ids are in the tables of everybody who has imported: another value would double their history."""
    header = f"{HEADER},discount,coupon_id,store_id,channel,currency"
    line = "c1,p1,b1,2026-03-01,2,1.99,0.5,k1,s1,web,USD"
    _import(settings, _file(tmp_path, [line, line, "c1,p1,,,,,,,,,"], header=header))
    full = "purchase|1772323200000000|c1|p1|b1|2000000|199|USD|s1|web|50|k1".replace("|", "\x1f")
    bare = "purchase||c1|p1||1000000||||||".replace("|", "\x1f")
    first, only = (hashlib.md5(text.encode()).hexdigest() for text in (full, bare))
    second = hashlib.md5(f"{first}:1".encode()).hexdigest()
    assert sorted(_stored(settings)["row_id"]) == sorted([first, second, only])


def test_a_broken_hundredth_is_listed_and_the_rest_imported(tmp_path: Path, settings: Settings) -> None:
    lines = [_line(n) for n in range(1000)]
    broken = {
        52: ",p1,,2026-03-01,1,1.00",
        152: "c1,,b1,2026-03-01,1,1.00",
        252: "c1,p1,b1,yesterday,1,1.00",
        352: "c1,p1,b1,2026-03-01,two,1.00",
        452: "c1,p1,b1,2026-03-01,inf,1.00",
        552: "c1,p1,b1,2026-03-01,1,abc",
        652: "c1,p1,b1,2026-03-01",
        752: "c1,p1,b1,2026-03-01,1,1.00,surplus",
        852: 'c1,"p1,b1,2026-03-01,1,1.00',
        952: "nobody,p1,b1,2026-02-31,,1,50",
    }
    for line, text in broken.items():
        lines[line - 2] = text
    report = _import(settings, _file(tmp_path, lines))
    assert (report.rows_read, report.rows_added, report.rows_rejected) == (1000, 990, 10)
    refused = _refused(report)
    assert {int(row["line"]): row["raw"] for row in refused} == broken
    assert all(row["reason"] for row in refused)
    assert [row["column"] for row in refused if row["line"] == "252"] == ["timestamp"]
    assert [row["value"] for row in refused if row["line"] == "252"] == ["yesterday"]


def test_line_of_the_future_is_refused_unless_the_file_is_moved(tmp_path: Path, settings: Settings) -> None:
    file = _file(tmp_path, ["ann,tea,b1,2099-01-01T00:00:00Z,1,1.00", _line(1)])
    report = _import(settings, file)
    assert (report.rows_added, report.rows_rejected) == (1, 1)
    assert [row["reason"] for row in _refused(report)] == ["after now: it cannot have happened"]


def test_a_row_with_two_faults_is_one_row_and_two_lines(tmp_path: Path, settings: Settings) -> None:
    report = _import(settings, _file(tmp_path, ["c1,,b1,never,1,1"]))
    assert report.rows_rejected == 1
    assert [row["column"] for row in _refused(report)] == ["product_id", "timestamp"]


def test_corrected_file_adds_the_corrected_row_and_clears_no_other(tmp_path: Path, settings: Settings) -> None:
    first = _import(settings, _file(tmp_path, [_line(1), "c1,p1,b1,never,1,1"]))
    again = _import(settings, _file(tmp_path, [_line(1), "c1,p1,b1,2026-03-01,1,1"]))
    assert (first.rows_added, first.rows_rejected) == (1, 1)
    assert (again.rows_added, again.rows_known, again.rows_rejected) == (1, 1, 0)


def test_the_same_file_again_changes_nothing(tmp_path: Path, settings: Settings) -> None:
    file = _file(tmp_path, [_line(n) for n in range(100)])
    assert _import(settings, file).rows_added == 100
    version, stored = History(settings.history_dir).version(), _stored(settings)
    report = _import(settings, file)
    assert (report.rows_added, report.rows_known) == (0, 100)
    assert History(settings.history_dir).version() == version
    assert _stored(settings).equals(stored)


def test_an_overlapping_file_adds_only_what_is_new(tmp_path: Path, settings: Settings) -> None:
    _import(settings, _file(tmp_path, [_line(n) for n in range(100)]))
    report = _import(settings, _file(tmp_path, [_line(n) for n in range(150, 50, -1)], name="later.csv"))
    assert (report.rows_added, report.rows_known) == (51, 49)
    assert _stored(settings)["row_id"].n_unique() == 151


def test_equal_lines_of_one_file_are_different_rows(tmp_path: Path, settings: Settings) -> None:
    file = _file(tmp_path, [_line(1), _line(2), _line(1), _line(1)])
    assert _import(settings, file).rows_added == 4
    assert _import(settings, file).rows_added == 0
    assert _stored(settings)["row_id"].n_unique() == 4


@pytest.mark.parametrize("block_bytes", [1, 100, 1000])
def test_the_size_of_blocks_makes_no_difference(tmp_path: Path, settings: Settings, block_bytes: int) -> None:
    lines = [_line(n % 5) for n in range(60)]
    lines[30:32] = ["broken", 'c1,"p\n1",b1,2026-03-01,1,1.00', ""]
    file = _file(tmp_path, lines)
    whole = _import(settings, file)
    refused = _refused(whole)
    table = open_table(file, compulsory=["customer_id"], block_bytes=block_bytes)
    again = import_lines(settings, table, source="s", shift_to_now=False, now=NOW, progress=lambda done, total: None)
    assert (whole.rows_added, again.rows_known, again.rows_added) == (58, 58, 0)
    assert _refused(again) == refused
    assert [row["line"] for row in refused] == ["32", "33"]


def test_csv_gzip_and_parquet_of_the_same_rows_are_the_same_rows(tmp_path: Path, settings: Settings) -> None:
    file = _file(tmp_path, [_line(n) for n in range(50)])
    packed = tmp_path / "sales.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    typed = tmp_path / "sales.parquet"
    pl.read_csv(file, try_parse_dates=True).write_parquet(typed)
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b",", b";").replace(b"\n", b"\r\n"))
    assert _import(settings, file).rows_added == 50
    for other in (packed, typed, semicolons):
        assert _import(settings, other).rows_known == 50


def test_two_columns_are_enough(tmp_path: Path, settings: Settings) -> None:
    report = _import(settings, _file(tmp_path, ["u1,i1", "u1,i2", "u1,i1"], header="Customer_ID,product_id"))
    assert report.rows_added == 3
    stored = _stored(settings)
    assert stored["time"].null_count() == stored["basket_id"].null_count() == 3
    assert stored["quantity"].to_list() == [1.0, 1.0, 1.0]
    assert stored["currency"].null_count() == 3


def test_a_negative_line_is_a_refund_of_positive_size(tmp_path: Path, settings: Settings) -> None:
    lines = ["c1,p1,b1,2026-03-01,-2,3.98", "c1,p2,b1,2026-03-01,1,-1.00", "c1,p3,b1,2026-03-01,0,0"]
    _import(settings, _file(tmp_path, lines))
    rows = _stored(settings).sort("product_id").select("type", "quantity", "amount_minor").rows()
    assert rows == [("refund", 2.0, 398), ("refund", 1.0, 100), ("purchase", 0.0, 0)]


def test_refused_parquet_rows_are_listed_by_row_number(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "sales.parquet"
    pl.DataFrame({"customer_id": [1, None], "product_id": [5, 6]}).write_parquet(file)
    report = _import(settings, file)
    assert (report.rows_added, report.rows_rejected) == (1, 1)
    assert _refused(report) == [
        {
            "line": "2",
            "column": "customer_id",
            "value": "",
            "reason": "missing",
            "raw": '{"customer_id": null, "product_id": 6}',
        }
    ]


def test_a_shift_makes_the_last_day_yesterday(tmp_path: Path, settings: Settings) -> None:
    lines = ["c1,p1,b1,2020-05-01T23:59:59,1,1", "c1,p1,b2,2020-05-10T00:00:01,1,1"]
    report = _import(settings, _file(tmp_path, lines), shift_to_now=True)
    assert sorted(_stored(settings)["time"]) == [
        datetime(2026, 11, 11, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 20, 0, 0, 1, tzinfo=UTC),
    ]
    assert report.shift_days == (date(2026, 11, 20) - date(2020, 5, 10)).days


def test_a_later_file_is_shifted_like_the_first(tmp_path: Path, settings: Settings) -> None:
    first = ["c1,p1,b1,2020-05-01,1,1", "c1,p1,b2,2020-05-10,1,1"]
    one = _import(settings, _file(tmp_path, first), shift_to_now=True)
    later = _file(tmp_path, [*first, "c1,p1,b3,2020-05-11,1,1"], name="later.csv")
    two = _import(settings, later, shift_to_now=True, now=datetime(2026, 12, 24, tzinfo=UTC))
    assert two.shift_days == one.shift_days
    assert (two.rows_added, two.rows_known) == (1, 2)
    assert _stored(settings)["time"].max() == datetime(2026, 11, 21, tzinfo=UTC)


def test_without_times_there_is_nothing_to_shift(tmp_path: Path, settings: Settings) -> None:
    report = _import(settings, _file(tmp_path, ["u1,i1"], header="customer_id,product_id"), shift_to_now=True)
    assert report.shift_days is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "empty"),
        ("sales.xlsx", b"PK\x03\x04", "not a sound zip archive"),
        ("sales.csv", b"customer_id,amount\n1,2\n", "product_id"),
        ("sales.csv", b"customer_id,product_id,product_id\n1,2,3\n", "duplicated"),
        ("sales.csv", b"customer_id,pr\xfcdukt\n", "no column 'product_id'"),
        ("sales.parquet", b"customer_id,product_id\n1,2\n", "Parquet"),
        ("sales.parquet", b"PAR1 and then nothing", "Parquet"),
        ("sales.csv.gz", gzip.compress(b"customer_id,product_id\n" + b"1,2\n" * 99, mtime=0)[:-9], "unpacked"),
    ],
)
def test_a_file_of_no_use_is_refused_whole(
    tmp_path: Path, settings: Settings, name: str, content: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(BadInput, match=words) as refusal:
        _import(settings, file)
    assert name in refusal.value.message
    assert "\n" not in refusal.value.message
    assert History(settings.history_dir).version() is None


def test_a_file_that_breaks_off_leaves_nothing_behind(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "sales.csv.gz"
    lines = "".join(f"{_line(n)}\n" for n in range(50_000))
    file.write_bytes(gzip.compress(f"{HEADER}\nbroken\n{lines}".encode())[:-500])
    table = open_table(file, compulsory=["customer_id"], block_bytes=20_000)
    with pytest.raises(BadInput, match="unpacked"):
        import_lines(settings, table, source="s", shift_to_now=False, now=NOW, progress=lambda done, total: None)
    assert History(settings.history_dir).version() is None
    assert list(settings.rejects_dir.iterdir()) == []


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in {"nothing.csv": "cannot be read", "empty": "the folder holds no file"}.items():
        with pytest.raises(BadInput, match=words):
            _import(settings, tmp_path / name)


def test_a_header_without_rows_is_an_empty_import(tmp_path: Path, settings: Settings) -> None:
    report = _import(settings, _file(tmp_path, []))
    assert (report.rows_read, report.rows_added) == (0, 0)


def test_nothing_but_history_rejects_and_journal_is_left_behind(tmp_path: Path, settings: Settings) -> None:
    report = _import(settings, _file(tmp_path, [_line(1), "broken"]))
    assert sorted(path.name for path in settings.data_dir.iterdir()) == ["history", "rejects", "tables"]
    journal = [path.relative_to(settings.tables_dir) for path in settings.tables_dir.rglob("*")]
    assert sorted(map(str, journal)) == ["imports", f"imports/{report.import_id}.json", "imports/lock"]
    assert [path.suffix for path in settings.rejects_dir.iterdir()] == [".csv"]


def test_progress_ends_at_its_total(tmp_path: Path, settings: Settings) -> None:
    seen: list[tuple[int, int | None]] = []
    file = _file(tmp_path, [_line(n) for n in range(10)])
    import_transactions(
        settings, file, shift_to_now=False, now=NOW, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.integers(0, 20), unique=True, min_size=1), min_size=1, max_size=4))
def test_files_in_any_cut_and_order_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    settings = Settings.load(data_dir=folder / "var")
    added = sum(_import(settings, _file(folder, map(_line, part))).rows_added for part in parts)
    assert added == len({n for part in parts for n in part})


def test_rows_come_in_only_once_their_shift_is_kept(tmp_path: Path, settings: Settings) -> None:
    settings.data_dir.mkdir()
    settings.tables_dir.write_text("no folder, so no shift can be kept here")
    with pytest.raises(OSError, match="tables"):
        _import(settings, _file(tmp_path, [_line(1)]), shift_to_now=True)
    assert History(settings.history_dir).scan().collect().is_empty()


def test_shift_of_an_import_that_added_nothing_binds_no_later_file(tmp_path: Path, settings: Settings) -> None:
    _import(settings, _file(tmp_path, [_line(1)]))
    again = [
        _import(settings, _file(tmp_path, [_line(1)]), shift_to_now=True, now=NOW + timedelta(days=days))
        for days in (1, 2)
    ]
    assert [report.rows_added for report in again] == [0, 0]
    assert again[1].shift_days == (again[0].shift_days or 0) + 1
