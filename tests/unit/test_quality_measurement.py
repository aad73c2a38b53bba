"""What stands next to the product in the measurement of ranking quality: plain rankings, calibration, the table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from benchmarks.ranking.plain import ease, frequent, nearest_sessions, plain_lists, popular
from benchmarks.ranking.protocols import Protocol
from benchmarks.ranking.quality_table import Ranking, SetResult, as_table
from benchmarks.ranking.ranked import calibration

START = datetime(2026, 1, 1, tzinfo=UTC)


def protocol(
    lines: Sequence[tuple[str, str, float]], truth: Mapping[str, str], *, k: int = 2, exclude_known: bool = False
) -> Protocol:
    """Of lines (customer, product, day), in their order."""
    rows = [(who, what, START + timedelta(days=day)) for who, what, day in lines]
    frame = pl.DataFrame(rows, schema=["customer_id", "product_id", "timestamp"], orient="row")
    wanted = {who: frozenset({what}) for who, what in truth.items()}
    return Protocol("tiny", frame, wanted, k, {}, lambda _name: {}, exclude_known)


def test_own_products_count_by_age_and_popular_ones_fill_up() -> None:
    lines = [("ann", "old", 0), ("ann", "old", 0), ("ann", "new", 300), ("bob", "top", 1), ("bob", "top", 2)]
    queried = protocol([*lines, ("bob", "top", 3)], {"ann": "new", "bob": "old"}, k=3)
    assert frequent(queried) == {"ann": ["new", "old", "top"], "bob": ["top", "old", "new"]}
    assert popular(queried)["ann"] == ["top", "old", "new"]


def test_what_a_customer_has_is_left_out_where_only_new_products_count() -> None:
    lines = [(f"c{number}", product, 0) for number in range(9) for product in ("a", "b")]
    queried = protocol([*lines, ("ann", "a", 0), ("ann", "c", 0)], {"ann": "b"}, exclude_known=True)
    assert popular(queried) == {"ann": ["b"]}
    assert ease(queried) == {"ann": ["b"]}


def test_session_most_like_the_views_votes_and_a_view_of_long_ago_less() -> None:
    sessions = {"s1": "ax", "s2": "by", "s3": "abz"}
    lines = [(who, product, 0.0) for who, products in sessions.items() for product in products]
    queried = replace(protocol(lines, {"visitor": "z"}, k=5), recent={"visitor": ["b", "a"]})
    # Weights a 1, b 2. s3: 3/√3 = 1.73, s2: 2/√2 = 1.41, s1: 1/√2 = .71, its last shared view two steps ago.
    assert nearest_sessions(queried) == {"visitor": ["b", "a", "z", "y", "x"]}
    long = replace(queried, k=20, lines=protocol([*lines, *(("s2", f"c{one}", 0.0) for one in range(7))], {}).lines)
    # s2: 2/√9 = .67, less than s1, whose view of a was a step earlier.
    ranking = nearest_sessions(long)["visitor"]
    assert ranking.index("y") < ranking.index("x")


def test_own_lines_are_the_session_where_nothing_is_viewed() -> None:
    lines = [("ann", "a", 0.0), ("bob", "a", 0.0), ("bob", "b", 1.0)]
    assert nearest_sessions(protocol(lines, {"ann": "b"}, exclude_known=True)) == {"ann": ["b"]}


def test_ranking_that_knows_nobody_of_those_queried_is_left_out() -> None:
    assert set(plain_lists(protocol([("ann", "a", 0)], {"visitor": "a"}))) == {"popularity"}


def test_calibration_error_sums_the_gaps_of_ten_equal_bins() -> None:
    lists = {"ann": ["a", "b"], "bob": ["a"]}
    chances = {"ann": [0.95, 0.12], "bob": [0.18]}
    found = calibration(lists, chances, {"ann": frozenset("a"), "bob": frozenset("a")}, k=2)
    # The last bin is off by .05, the second by |.12 + .18 - 1|.
    assert found["ece"] == pytest.approx((0.05 + 0.70) / 3, abs=1e-4)
    assert (found["bought"], found["predicted"]) == (0.6667, 0.4167)
    assert calibration({}, {}, {"ann": frozenset("a")}, k=2)["ece"] == 0


def test_table_has_a_row_per_ranking_and_tells_what_stands_in_the_session_already_apart() -> None:
    queried = replace(protocol([("s", "a", 0)], {"x": "a", "y": "b"}), recent={"x": ["a"], "y": ["a"]})
    own = Ranking.of("endcap", {"x": ["a"], "y": ["a"]}, queried)
    assert {part: (count, figures["hit"].mean) for part, (count, figures) in own.parts.items()} == {
        "in the session already": (1, 1.0),
        "new to the session": (1, 0.0),
    }
    result = SetResult("tiny", 2, 2, 1, 1, [own, own], {"ece": 0.012}, 71.6, 1234, {"train": 60.0}, {})
    table = as_table({"sessions": result}, {"commit": "abc"}).splitlines()
    assert len({line.count("|") for line in table[:8]}) == 1
    assert len({len(line) for line in table[:8]}) == 1
    assert [cell.strip() for cell in table[2].split("|")[1:5]] == ["sessions", "endcap", "2", ".500 (.000–1.000)"]
    assert [cell.strip() for cell in table[2].split("|")[-4:-1]] == [".012", "72", "1,234"]
    assert table[-1] == "commit abc"
