"""Picking candidates that stand well together, on cases worked by hand and as promises over any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decision.slate.diversity import LAST, Cap, best_together


def keys(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def cap(at_most: int, *codes: int) -> Cap:
    return Cap(np.array(codes, np.int32), at_most)


def picked(values: np.ndarray, count: int, **options: object) -> list[int]:
    positions: list[int] = best_together(values, count, **options).tolist()  # type: ignore[arg-type]  # one type per option
    return positions


def test_without_caps_the_best_come_in_order_and_equal_ones_by_place() -> None:
    assert picked(keys(1, 3, 2, 3), 3) == [1, 3, 2]


def test_full_category_gives_its_place_to_the_next_one() -> None:
    assert picked(keys(5, 4, 3, 2), 3, caps=[cap(1, 0, 0, 1, 0)]) == [0, 2, 1]


def test_unknown_category_is_never_full() -> None:
    assert picked(keys(5, 4, 3), 2, caps=[cap(1, -1, -1, 0)]) == [0, 1]


def test_two_caps_hold_at_once() -> None:
    categories, brands = cap(2, 0, 0, 0, 1, 1), cap(1, 0, 1, 0, 1, 2)
    assert picked(keys(5, 4, 3, 2, 1), 3, caps=[categories, brands]) == [0, 1, 4]


def test_what_is_shown_already_counts_for_the_caps() -> None:
    assert picked(keys(5, 4, 3), 1, shown=np.array([0], np.int32), caps=[cap(1, 0, 0, 1)]) == [2]


def test_second_pick_is_the_less_alike_one() -> None:
    """Relevance 1, 0.9, 0.5, 0 halved, less half the likeness: 0.45 - 0.5 for the twin, 0.25 - 0 for the other."""
    vectors = np.array([[1, 0], [2, 0], [0, 1], [1, 1]], np.float32)
    assert picked(keys(10, 9, 5, 0), 2, diversity=0.5, vectors=vectors) == [0, 2]
    assert picked(keys(10, 9, 5, 0), 2, diversity=0.04, vectors=vectors) == [0, 1]


def test_no_number_ranks_behind_everything_however_different() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert picked(keys(2, 1, LAST), 3, diversity=0.9, vectors=vectors) == [0, 1, 2]


def test_vector_of_zeros_is_like_nothing() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    assert picked(keys(3, 2, 1), 2, diversity=0.9, vectors=vectors) == [0, 2]


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.integers(-1, 4), st.integers(-1, 3)), min_size=1, max_size=40),
    st.integers(1, 15),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_caps_hold_or_the_slate_is_filled_because_they_cannot(
    rows: list[tuple[float, int, int]], count: int, most_a: int, most_b: int, diversity: float
) -> None:
    values = keys(*(value for value, _, _ in rows))
    caps = [cap(most_a, *(a for _, a, _ in rows)), cap(most_b, *(b for _, _, b in rows))]
    vectors = np.random.default_rng(0).normal(size=(len(rows), 3)).astype(np.float32)
    positions = best_together(values, count, caps=caps, diversity=diversity, vectors=vectors)
    assert len(positions) == len(set(positions.tolist())) == min(count, len(rows))
    for one in range(len(positions)):
        if any(cap.over_count(positions[: one + 1]) > cap.over_count(positions[:one]) for cap in caps):
            others = np.setdiff1d(np.arange(len(rows)), positions[:one])
            assert all(
                any(cap.over_count(np.append(positions[:one], other)) > cap.over_count(positions[:one]) for cap in caps)
                for other in others
            )


@pytest.mark.parametrize(("positions", "over"), [([0, 1, 2], 2), ([0, 3], 0), ([], 0)])
def test_what_is_over_a_cap_is_counted(positions: list[int], over: int) -> None:
    assert cap(1, 0, 0, 0, -1).over_count(np.array(positions, np.int32)) == over
