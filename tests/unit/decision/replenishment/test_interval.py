"""The interval at which a customer is likely to buy a product: their own gaps, and the usual one counted in once."""

from math import log

import numpy as np
import pytest

from app.decision.replenishment.interval import MIN_GAP_DAYS, likely_interval


@pytest.mark.parametrize(
    ("count", "span_days", "expected"),
    [
        (1, 0.0, 40.0),
        (2, 10.0, 20.0),
        (4, 15.0, (5.0**3 * 40) ** 0.25),
        (3, 0.0, (MIN_GAP_DAYS**2 * 40) ** (1 / 3)),
    ],
    ids=["once: the usual one", "twice: half way", "four times: mostly their own", "on one visit"],
)
def test_the_more_a_customer_buys_the_less_the_usual_interval_counts(
    count: int, span_days: float, expected: float
) -> None:
    found = likely_interval(np.array([count], np.float32), np.array([span_days], np.float32), log(40))
    assert found == pytest.approx([expected], rel=1e-5)
