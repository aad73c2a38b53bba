"""The warm-up of a new bundle: every path that answers runs before a customer meets it."""

from dataclasses import replace

import numpy as np
import pytest

from app.decision.fallbacks import warm_up
from app.decision.pipeline import Options
from app.decision.replenishment.hazards import COLUMNS
from app.model.bundle import Bundle
from app.model.coupons import CouponModel
from app.model.replenishment import RebuyModel
from app.offers.display.offer_index import OfferIndex
from tests.support.offer_indexes import NOW, offer, offer_index_of, small_bundle

NOTHING = np.zeros(1, np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def offer_index(bundle: Bundle) -> OfferIndex | None:
    return offer_index_of(bundle, offer("half", "p1"))


def test_warm_up_finds_no_fault_with_a_sound_bundle(
    bundle: Bundle, offer_index: OfferIndex | None, caplog: pytest.LogCaptureFixture
) -> None:
    warmed(bundle, offer_index)
    assert caplog.messages == []


def test_warm_up_answers_with_coupons(
    bundle: Bundle, offer_index: OfferIndex | None, caplog: pytest.LogCaptureFixture
) -> None:
    broken = CouponModel(("no such column",), NOTHING, NOTHING, NOTHING, 0.0)
    warmed(replace(bundle, coupons=broken), offer_index)
    assert "coupons failed" in caplog.messages


def test_warm_up_answers_what_is_bought_again(bundle: Bundle) -> None:
    broken = RebuyModel(COLUMNS, np.zeros((1, 3), np.float32), NOTHING, NOTHING, NOTHING, NOTHING)
    with pytest.raises(ValueError, match="matmul"):
        warmed(replace(bundle, rebuy={"product": broken}), None)


def warmed(bundle: Bundle, offer_index: OfferIndex | None) -> None:
    options = Options(stale_after_s=1e9, offer_index_of=lambda _: offer_index)
    warm_up(bundle, options, placement="app_home", now=NOW)
