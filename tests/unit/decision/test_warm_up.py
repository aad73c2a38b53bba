"""The warm-up of a new bundle: every path that answers runs before a customer meets it."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from app.decision.pipeline import Options
from app.decision.replenishment.hazards import COLUMNS
from app.decision.warm_up import warm_up
from app.errors import BundleRefused
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


@pytest.mark.parametrize("runs_campaigns", [True, False])
def test_bundle_that_fails_on_coupons_is_refused_even_where_no_campaign_runs(
    bundle: Bundle, offer_index: OfferIndex | None, runs_campaigns: bool
) -> None:
    broken = CouponModel(("no such column",), NOTHING, NOTHING, NOTHING, 0.0)
    with pytest.raises(BundleRefused, match="coupons failed: coupons_unknown; `endcap rollback`") as refused:
        warmed(replace(bundle, coupons=broken), offer_index if runs_campaigns else None)
    assert refused.value.reason == "answer"


def test_bundle_that_fails_on_replenishment_is_refused(bundle: Bundle) -> None:
    broken = RebuyModel(COLUMNS, np.zeros((1, 3), np.float32), NOTHING, NOTHING, NOTHING, NOTHING)
    with pytest.raises(BundleRefused, match=r"replenishment of level product failed: .*matmul"):
        warmed(replace(bundle, rebuy={"product": broken}), None)


def test_bundle_whose_candidate_source_fails_is_refused_by_its_name(bundle: Bundle) -> None:
    wider = np.zeros((1, bundle.index.head.d + 1), np.float32)
    head = faiss.IndexFlatIP(wider.shape[1])
    head.add(wider)
    broken = replace(bundle, index=replace(bundle.index, head=head))
    with pytest.raises(BundleRefused, match="a decision for nobody failed: model_unavailable, source similar"):
        warmed(broken, None)


def test_bundle_whose_scores_are_no_numbers_is_refused(bundle: Bundle) -> None:
    broken = replace(bundle, popularity=np.full_like(bundle.popularity, np.nan))
    with pytest.raises(BundleRefused, match="scores that are not finite"):
        warmed(broken, None)


def test_model_of_older_columns_does_not_stop_a_bundle(bundle: Bundle) -> None:
    older = RebuyModel(("count",), np.zeros((1, 3), np.float32), NOTHING, NOTHING, NOTHING, NOTHING)
    warmed(replace(bundle, rebuy={"product": older}), None)


def warmed(bundle: Bundle, offer_index: OfferIndex | None) -> None:
    options = Options(stale_after_s=1e9, offer_index_of=lambda _: offer_index)
    warm_up(bundle, options, placement="app_home", now=NOW)
