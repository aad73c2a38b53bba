"""What follows what: forward steps count most, near ones more than far ones, one instant has no order."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.rows import history_of
from training.data.dataset import Dataset, load_interactions
from training.data.split import session_split
from training.learners.transitions import BACKWARD, DETOUR_SHARE, PRIOR, transitions

START = datetime(2026, 1, 1, tzinfo=UTC)


def sessions(*views: tuple[str, str, float], kind: str = "view_item") -> Dataset:
    """Views of (visitor, product, minute)."""
    rows = (
        {"anonymous_id": who, "session_id": who, "product_id": what, "time": START + timedelta(minutes=minute)}
        for who, what, minute in views
    )
    return load_interactions(history_of(rows, type=kind), None)


def chance(data: Dataset, before: str, after: str) -> float:
    found = transitions(data)
    row, column = data.product_ids.index(before), data.product_ids.index(after)
    score_of: dict[int, float] = dict(zip(found.index[row].tolist(), found.score[row].tolist(), strict=True))
    return score_of.get(column, 0.0)


def test_score_is_the_share_of_steps_with_a_pseudo_step_and_of_detours() -> None:
    data = sessions(("s", "a", 0), ("s", "b", 1), ("s", "c", 2))
    from_a, from_b, from_c = 1 + 1 / 2 + PRIOR, 1 + BACKWARD + PRIOR, BACKWARD * (1 + 1 / 2) + PRIOR
    a_b, a_c, b_a, b_c = 1 / from_a, 1 / 2 / from_a, BACKWARD / from_b, 1 / from_b
    c_a, c_b = BACKWARD / 2 / from_c, BACKWARD / from_c
    assert chance(data, "a", "b") == pytest.approx((1 - DETOUR_SHARE) * a_b + DETOUR_SHARE * a_c * c_b)
    assert chance(data, "a", "c") == pytest.approx((1 - DETOUR_SHARE) * a_c + DETOUR_SHARE * a_b * b_c)
    assert chance(data, "b", "a") == pytest.approx((1 - DETOUR_SHARE) * b_a + DETOUR_SHARE * b_c * c_a)


def test_pair_that_was_never_seen_follows_by_a_detour_and_nothing_follows_itself() -> None:
    data = sessions(("s", "a", 0), ("s", "b", 1), ("t", "b", 100), ("t", "c", 101))
    assert chance(data, "a", "b") > chance(data, "a", "c") > 0
    assert chance(data, "a", "a") == 0


def test_sessions_do_not_run_into_one_another() -> None:
    assert chance(sessions(("s", "a", 0), ("t", "b", 1)), "a", "b") == 0


def test_views_of_one_instant_have_no_order() -> None:
    assert chance(sessions(("s", "a", 0), ("s", "b", 0)), "a", "b") == 0
    data = sessions(("s", "a", 0), ("s", "b", 0), ("s", "c", 1))
    assert chance(data, "a", "c") == chance(data, "b", "c") > 10 * chance(data, "a", "b")


def test_coming_back_to_a_product_is_a_line_of_its_own() -> None:
    data = sessions(("s", "a", 0), ("s", "b", 1), ("s", "a", 2))
    assert data.line_count == 3
    assert not data.has_purchases


def test_query_comes_in_the_middle_of_a_later_session() -> None:
    past = [
        (f"s{number}", product, 100.0 * number + position)
        for number in range(40)
        for position, product in enumerate("abc")
    ]
    split = session_split(sessions(*past), windows_back=1, seed=0)
    assert split.truth
    for code, truth in split.truth.items():
        prefix = [split.train.product_ids[item] for item in split.prefix[code]]
        assert "".join(reversed(prefix)) + split.train.product_ids[truth[0]] in ("ab", "abc")
    assert split.train.day.max() < split.train.as_of_day
