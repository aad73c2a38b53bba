"""Rows of the history whose period is over are deleted, and no others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.history import History
from tests.support.rows import history_of

NEWEST = datetime(2016, 5, 1, tzinfo=UTC)


def history_with(folder: Path, ages: dict[str, int], kind: str) -> History:
    history = History(folder / "history")
    rows = [
        {"row_id": f"{kind}-{name}", "customer_id": "ada", "product_id": name, "time": NEWEST - timedelta(days=age)}
        for name, age in ages.items()
    ]
    history.append_new(history_of(rows, type=kind).collect())
    return history


def test_each_kind_has_its_period_counted_from_the_newest_row(tmp_path: Path) -> None:
    history = history_with(tmp_path, {"a": 0, "b": 99, "c": 101, "d": 401}, "purchase")
    history_with(tmp_path, {"e": 5, "f": 99, "g": 101}, "view_item")
    before = history.removal_version()
    assert history.expire(timedelta(days=400), timedelta(days=100)) == 2
    assert sorted(history.scan().collect()["product_id"]) == ["a", "b", "c", "e", "f"]
    assert history.removal_version() != before
    assert history.expire(timedelta(days=400), timedelta(days=100)) == 0


def test_data_set_of_long_ago_stays_whole(tmp_path: Path) -> None:
    history = history_with(tmp_path, {"a": 0, "b": 300}, "purchase")
    version = history.version()
    assert history.expire(timedelta(days=3650), timedelta(days=1095)) == 0
    assert history.version() == version, "nothing was written"
    assert History(tmp_path / "none").expire(timedelta(days=1), timedelta(days=1)) == 0
