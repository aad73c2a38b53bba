"""Each check of the gate by itself, on figures whose right answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain import CustomerFeatures
from training.metrics.ranking import Wide
from training.metrics.rule_comparison import NEEDED_HITS
from training.release.gate import (
    MIN_CUSTOMERS,
    GateCheck,
    check_catalogue,
    check_coverage,
    check_features,
    check_quality,
    check_schema,
    check_scores,
)
from training.release.parity import largest_difference
from training.release.replay import Replay

RANDOM = np.random.default_rng(0)
LIVE = RANDOM.random(500)


def replayed(ndcg: Wide, *, new: Wide | None = None, shown: int = 100, broken: tuple[str, ...] = ()) -> Replay:
    return Replay("v", ndcg, ndcg if new is None else new, shown, broken)


def outcomes(candidate: Replay, live: Replay) -> dict[str, bool]:
    return {check.name: check.is_ok for check in check_quality(candidate, live)}


def test_bundle_that_is_worse_for_most_customers_is_refused() -> None:
    worse = LIVE - 0.02 + RANDOM.normal(0, 0.05, len(LIVE))
    assert outcomes(replayed(worse), replayed(LIVE)) == {"quality": False, "discovery": False}


def test_bundle_that_finds_nothing_new_is_refused_however_well_it_repeats() -> None:
    assert outcomes(replayed(LIVE, new=LIVE - 0.02), replayed(LIVE)) == {"quality": True, "discovery": False}


def test_loss_within_noise_passes() -> None:
    noise = RANDOM.normal(0, 0.2, len(LIVE))
    checks = check_quality(replayed(LIVE - 0.005 + noise - noise.mean()), replayed(LIVE))
    assert all(check.is_ok for check in checks)
    assert checks[0].figures["difference"] == pytest.approx(-0.005)
    assert checks[0].figures["low"] < 0 < checks[0].figures["high"]


def test_certain_loss_too_small_to_matter_passes() -> None:
    assert all(outcomes(replayed(LIVE - 0.0005), replayed(LIVE)).values())


@pytest.mark.parametrize("gain", [0.0, 0.05])
def test_equal_and_better_bundles_pass(gain: float) -> None:
    checks = check_quality(replayed(LIVE + gain), replayed(LIVE))
    assert all(check.is_ok for check in checks)
    assert checks[0].figures["difference"] == pytest.approx(gain)


def test_too_few_customers_are_noted_and_not_compared() -> None:
    few = LIVE[: MIN_CUSTOMERS - 1]
    checks = [*check_quality(replayed(few * 0), replayed(few)), check_coverage(replayed(few, shown=1), replayed(few))]
    assert [check.is_ok for check in checks] == [True] * 3
    assert all("not compared: 19 customers" in check.detail for check in checks)


def test_more_customers_may_be_needed_to_compare() -> None:
    few = LIVE[: NEEDED_HITS - 1]
    worse, live = replayed(few * 0, shown=1), replayed(few)
    checks = [*check_quality(worse, live, needed=NEEDED_HITS), check_coverage(worse, live, needed=NEEDED_HITS)]
    assert all(check.is_ok and "not compared: 49 customers" in check.detail for check in checks)
    assert not any(outcomes(worse, live).values())


@pytest.mark.parametrize(("shown", "is_ok"), [(100, True), (50, True), (49, False), (1, False)])
def test_coverage_may_shrink_but_not_collapse(shown: int, is_ok: bool) -> None:
    assert check_coverage(replayed(LIVE, shown=shown), replayed(LIVE)).is_ok is is_ok


@pytest.mark.parametrize(("kept", "is_ok"), [(100, True), (50, True), (49, False), (0, False)])
def test_catalogue_may_change_but_not_collapse(kept: int, is_ok: bool) -> None:
    live = [f"p{number}" for number in range(100)]
    candidate = [*live[:kept], *(f"new{number}" for number in range(300))]
    assert check_catalogue(candidate, live).is_ok is is_ok


def test_lost_attribute_is_a_schema_mismatch() -> None:
    assert check_schema(["brand", "size"], ["brand"]).is_ok
    lost = check_schema([], ["brand"])
    assert (lost.is_ok, lost.detail) == (False, "attribute 'brand' is gone")
    assert check_schema(["brand"], ["brand", "rating", "url"]).is_ok


def test_broken_answers_are_refused_and_listed_once_each() -> None:
    check = check_scores(replayed(LIVE, broken=("source similar failed", "source similar failed")))
    assert (check.is_ok, check.detail) == (False, "2 answers are broken: source similar failed")
    assert check_scores(replayed(LIVE)).is_ok


FEATURES = CustomerFeatures(
    as_of_at=1_790_812_800.0,
    scalars={"spend_minor": 1250, "repeat_share": 0.4, "home_store_id": "s1", "favourite_departments": ("TEA",)},
    bought_keys=np.array([7.0, 3.0]),
    bought_count=np.array([2, 1], np.float32),
    bought_weight_28d=np.array([120.5, 0.25], np.float32),
    bought_weight_112d=np.array([1.5, 0.75], np.float32),
    bought_first_day=np.array([20_000, 20_001], np.float32),
    bought_last_day=np.array([20_010, 20_001], np.float32),
)


def test_rows_in_another_order_and_one_rounding_apart_are_equal() -> None:
    columns = (
        "bought_keys",
        "bought_count",
        "bought_weight_28d",
        "bought_weight_112d",
        "bought_first_day",
        "bought_last_day",
    )
    turned = replace(FEATURES, **{name: getattr(FEATURES, name)[::-1] for name in columns})
    rounded = replace(turned, bought_weight_28d=np.nextafter(turned.bought_weight_28d, np.float32(np.inf)))
    assert largest_difference(turned, FEATURES)[0] == 0
    assert 0 < largest_difference(rounded, FEATURES)[0] < 1e-6


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"scalars": dict(FEATURES.scalars) | {"repeat_share": 0.40001}}, "repeat_share"),
        ({"scalars": dict(FEATURES.scalars) | {"repeat_share": float("nan")}}, "repeat_share"),
        ({"scalars": dict(FEATURES.scalars) | {"home_store_id": "s2"}}, "home_store_id"),
        ({"scalars": {key: value for key, value in FEATURES.scalars.items() if key != "spend_minor"}}, "spend_minor"),
        ({"bought_weight_112d": np.array([1.5, 0.7501], np.float32)}, "bought_weight_112d"),
        ({"bought_keys": np.array([7.0, 4.0])}, "bought_keys"),
        ({"as_of_at": 1_790_812_801.0}, "event_timestamp"),
    ],
)
def test_every_kind_of_field_that_differs_is_found_and_named(changed: dict[str, object], field: str) -> None:
    size, name = largest_difference(replace(FEATURES, **changed), FEATURES)  # type: ignore[arg-type]  # one field each
    assert name == field
    assert size > 1e-6


def test_missing_row_differs_altogether() -> None:
    assert largest_difference(None, FEATURES) == (np.inf, "the whole row")


def test_features_that_differ_are_refused_with_count_and_fields() -> None:
    check = check_features({"a": (0.0, "x"), "b": (2e-6, "repeat_share")}, origin="the history")
    assert not check.is_ok
    assert "1 of 2 customers differ (repeat_share)" in check.detail
    assert check_features({"a": (1e-6, "x")}, origin="the history").is_ok
    assert check_features({}, origin="the history") == GateCheck(
        "features",
        is_ok=True,
        detail="no customer to compare",
        figures={"customers": 0, "largest": 0.0, "differing": 0},
    )
