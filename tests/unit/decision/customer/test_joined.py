"""Purchases of one person under two ids count as if under one."""

import numpy as np
import pytest

from app.decision.customer.joined import DAY_S, joined_features
from app.domain import CustomerFeatures


def row(as_of_at: float, keys: list[float], *, weight: float, first: float, last: float) -> CustomerFeatures:
    ones = np.ones(len(keys), np.float32)
    days = (ones * first, ones * last)
    return CustomerFeatures(as_of_at, {"n": len(keys)}, np.array(keys), ones, ones * weight, ones * weight, *days)


def test_one_row_is_itself_and_none_is_none() -> None:
    only = row(0, [1.0], weight=1, first=1, last=2)
    assert joined_features([only]) is only
    assert joined_features([]) is None


def test_counts_and_weights_add_up_by_product_as_of_the_later_row() -> None:
    older = row(0, [1.0, 2.0], weight=1, first=1, last=2)
    newer = row(28 * DAY_S, [2.0, 3.0, 4.0], weight=1, first=3, last=4)
    for rows in ([older, newer], [newer, older]):
        joined = joined_features(rows)
        assert joined is not None
        assert joined.as_of_at == 28 * DAY_S
        assert joined.scalars == {"n": 3}
        by_key = {key: position for position, key in enumerate(joined.bought_keys.tolist())}
        assert set(by_key) == {1, 2, 3, 4}
        assert joined.bought_count[by_key[2.0]] == 2
        assert joined.bought_weight_28d[by_key[2.0]] == pytest.approx(1.5)
        assert joined.bought_weight_28d[by_key[1.0]] == pytest.approx(0.5)
        assert (joined.bought_first_day[by_key[2.0]], joined.bought_last_day[by_key[2.0]]) == (1, 4)
        assert (np.diff(joined.bought_weight_112d) <= 0).all(), "strongest first"
