"""The last purchases as steps: what follows the latest counts most, and a day is one step."""

import numpy as np

from app.decision.customer.past import PAST_DECAY, PAST_ITEMS, followers_of_past

NEXT = np.array([[1, 2], [2, -1], [-1, -1], [0, -1]], np.int32)
CHANCE = np.array([[0.5, 0.25], [0.5, 0], [0, 0], [1, 0]], np.float32)


def chance_of(items: list[int], last_day: list[float]) -> dict[tuple[int, int], float]:
    """Chance by how far back the purchase stands and what follows it."""
    found = followers_of_past(NEXT, CHANCE, np.array(items, np.int32), np.array(last_day, np.float32))
    assert found is not None
    return {
        (row, item): round(float(chance), 6)
        for row, (followers, chances) in enumerate(zip(found.items.tolist(), found.chance.tolist(), strict=True))
        for item, chance in zip(followers, chances, strict=True)
        if item >= 0
    }


def test_follower_of_the_step_before_the_last_counts_less() -> None:
    assert chance_of([0, 3], [20_000, 20_010]) == {(0, 0): 1.0, (1, 1): 0.5 * PAST_DECAY, (1, 2): 0.25 * PAST_DECAY}


def test_purchases_of_one_day_are_one_step_whatever_their_hours() -> None:
    assert chance_of([0, 3], [20_000.1, 20_000.9]) == {(0, 0): 1.0, (1, 1): 0.5, (1, 2): 0.25}


def test_how_many_days_lie_between_steps_does_not_matter() -> None:
    assert chance_of([0, 3], [20_000, 20_001]) == chance_of([0, 3], [20_000, 20_300])


def test_purchases_without_a_time_have_no_order() -> None:
    assert chance_of([0, 3], [0, 20_000]) == {(0, 0): 1.0}
    assert followers_of_past(NEXT, CHANCE, np.array([0, 3], np.int32), np.zeros(2, np.float32)) is None


def test_purchases_that_nothing_ever_followed_say_nothing() -> None:
    assert followers_of_past(NEXT, CHANCE, np.array([2], np.int32), np.full(1, 20_000, np.float32)) is None


def test_only_the_latest_products_are_looked_at() -> None:
    index, score = np.zeros((100, 2), np.int32), np.ones((100, 2), np.float32)
    found = followers_of_past(index, score, np.arange(100, dtype=np.int32), np.arange(20_000, 20_100, dtype=np.float32))
    assert found is not None
    assert found.items.shape == (PAST_ITEMS, 2)
    assert np.all(np.diff(found.chance[:, 0]) < 0)
