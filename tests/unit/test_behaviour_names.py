"""Recordings of two runs say the same: random ids, codes, instants and their order do not show."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from benchmarks.behaviour.ledger import read_ledger
from benchmarks.behaviour.stable import StableNames

NOW = datetime(2026, 11, 28, 16, 37, 40, tzinfo=UTC)


def cleaned(document: Any, *, now: datetime = NOW) -> Any:
    return StableNames({"/data/of/this/run": "<data>"}).clean(document, now=now)


def run_of(code: str) -> dict[str, Any]:
    """What one run with ids of its own answered."""
    first, second = (f"cpn_{token_hex(16)}" for _ in range(2))
    shown = "-".join(code[start : start + 4] for start in range(0, 16, 4))
    coupon = {"offer_id": "two-off", "coupon_id": first, "code": code, "image": f"/v1/coupons/{first}/qr.svg"}
    other = {"offer_id": "one-off", "coupon_id": second, "code": shown, "typed": shown.lower()}
    return {"decision_id": token_hex(16), "coupons": sorted([coupon, other], key=lambda one: one["coupon_id"])}


def test_two_runs_give_their_ids_the_same_names() -> None:
    documents = [cleaned(run_of(code)) for code in ("Z06KCTDHZ9B15D0Q", "VDBPD5FPNWW0MF84") * 4]
    assert all(document == documents[0] for document in documents)
    assert [one["offer_id"] for one in documents[0]["coupons"]] == ["one-off", "two-off"]
    assert documents[0]["coupons"][1]["image"] == "/v1/coupons/<cpn 2>/qr.svg"
    assert documents[0]["coupons"][0]["typed"] == documents[0]["coupons"][1]["code"] == "<code 1>"


def test_different_ids_get_different_names() -> None:
    names = StableNames({})
    ids = [token_hex(16) for _ in range(2)]
    assert names.clean([ids[0], ids[1], ids[0]], now=NOW) == ["<hex 1>", "<hex 2>", "<hex 1>"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T16:37:41.123456+00:00", "<now or before>"),
        ("2026-11-28 16:52:41.5", "<now+15min>"),
        ("2026-12-13T00:00:00+00:00", "<today+15d 00:00>"),
        ("2026-11-28", "<today+0d>"),
        ("2026-W48", "<week>"),
        ("2026-11", "<month>"),
        ("2018-01-01T09:00:00Z", "2018-01-01T09:00:00Z"),
        ("2018-01-01", "2018-01-01"),
        ("9999-99-99", "9999-99-99"),
        ("(255)4012345000009123456789012(17)310101", "(255)4012345000009<serial 1>(17)310101"),
        ("/data/of/this/run/reports", "<data>/reports"),
        ("1082185", "1082185"),
    ],
)
def test_text_of_a_run_becomes_the_text_of_every_run(text: str, expected: str) -> None:
    assert cleaned(text) == expected


def test_ranked_lists_keep_their_order() -> None:
    ranked = [{"rank": rank, "offer_id": offer_id} for rank, offer_id in enumerate(("w-milk", "w-eggs"), start=1)]
    assert cleaned(ranked) == ranked
    assert cleaned(["1082185", "981760"]) == ["1082185", "981760"]


def test_one_changed_value_of_a_long_list_shows() -> None:
    before, after = (cleaned([*range(500), last]) for last in (1, 2))
    assert before["count"] == 501
    assert before != after


def ledger_of(path: Path, amounts: list[int], made_at: datetime) -> Any:
    """What is read of a ledger with a row for each amount, in the order of random ids."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE uses (use_id TEXT PRIMARY KEY, terms TEXT, cost INTEGER, made_at TEXT, end_at TEXT)"
        )
        rows = [(f"use_{token_hex(16)}", '{"b": [1]}', amount) for amount in amounts]
        instants = (f"{made_at:%Y-%m-%d %H:%M:%S.%f}", f"{made_at + timedelta(minutes=15):%Y-%m-%d %H:%M:%S.%f}")
        connection.executemany("INSERT INTO uses VALUES (?, ?, ?, ?, ?)", [(*row, *instants) for row in sorted(rows)])
        connection.commit()
    return read_ledger(path, StableNames({}))


def test_ledgers_of_two_runs_are_read_alike(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    runs = [ledger_of(tmp_path / f"{run}.db", [5, 7, 9], now - timedelta(hours=run)) for run in range(4)]
    assert all(run == runs[0] for run in runs)
    first = {"use_id": "<use 1>", "terms": {"b": [1]}, "cost": 5, "made_at": "<now or before>", "end_at": "<now+15min>"}
    assert runs[0]["uses"][0] == first
    assert ledger_of(tmp_path / "other.db", [5, 8, 9], now) != runs[0]
