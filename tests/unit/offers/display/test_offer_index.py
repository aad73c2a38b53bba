"""What a decision says that a coupon takes off a piece is what the till takes off it."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from app.model.bundle import Bundle
from app.offers.display.offer_index import FAULTS, pair_worths
from app.offers.terms.reasons import ReasonCode
from tests.support.offer_indexes import offer, offer_index_of, small_bundle
from tests.support.offers import basket, combine, coupon, given, line

PRICES_MINOR = (0, 1, 3, 50, 249, 250, 929, 12_345, 10**9 + 1)
DISCOUNTS: tuple[dict[str, Any], ...] = (
    *({"type": "percent", "percent": percent} for percent in (0.01, 0.29, 10, 12.5, 28.57, 29, 50, 100)),
    {"type": "percent", "percent": 50, "max_discount_minor": 77},
    {"type": "amount", "amount_minor": 100},
    {"type": "fixed_price", "price_minor": 99},
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.mark.parametrize("floor_minor", [None, 45])
def test_a_saving_is_what_one_piece_is_reduced_by_to_the_cent(bundle: Bundle, floor_minor: int | None) -> None:
    terms: list[dict[str, Any]] = [{"discount": one, "price_floor_minor": floor_minor} for one in DISCOUNTS]
    index = offer_index_of(bundle, *(offer(f"o{number}", "p3", **one) for number, one in enumerate(terms)))
    assert index is not None
    pairs = list(product(range(len(terms)), PRICES_MINOR))
    worths = pair_worths(
        bundle,
        np.zeros(len(pairs), np.int32),
        np.array([index.row_of[f"o{number}"] for number, _ in pairs]),
        np.array([price for _, price in pairs]),
        discounts=index.discounts,
        is_retailers=np.zeros(len(terms), np.bool_),
    )
    for (number, price), saving, fault in zip(pairs, worths.money[2].tolist(), worths.fault.tolist(), strict=True):
        taken = given(combine(basket(line("1", price)), coupon("c", **terms[number]))).get("c", 0)
        assert (price, terms[number], saving) == (price, terms[number], taken)
        assert (FAULTS[fault] == ReasonCode.NO_EFFECT) == (taken == 0)
