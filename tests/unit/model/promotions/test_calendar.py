"""What is on promotion where and when, as a bundle tells it."""

from pathlib import Path

import numpy as np
import pytest

from app.errors import BundleRefused
from app.model.bundle import current_version, load_bundle
from app.model.promotions.calendar import EVERYWHERE, LEADING_COUNT, PromotionCalendar, calendar_arrays
from tests.support.bundles import copied
from tests.support.world import World

DAY = 1440
WEEK = 7 * DAY
FLYER, DISPLAY, BOTH, NEITHER = (False, True), (True, False), (True, True), (False, False)


def calendar(*rows: tuple[int, int, int, int, tuple[bool, bool]], item_count: int = 6) -> PromotionCalendar:
    """Rows of item, store, first and end minute, and where it is shown; item 0 sells best on promotion."""
    item, store, first, end, shown = zip(*rows, strict=True)
    strength = np.linspace(1, 0.1, item_count).astype(np.float32)
    order = np.lexsort((item, store))
    return PromotionCalendar(
        np.array(item, np.int32)[order],
        np.array(store, np.int32)[order],
        np.array([first, end], np.int32).T[order],
        np.array(shown, np.bool_)[order],
        strength,
        strength,
        {"n": 0, "s": 1},
    )


def test_a_promotion_is_in_force_from_its_first_minute_until_its_end() -> None:
    known = calendar((3, 0, WEEK, 2 * WEEK, FLYER))
    for minute, expected in ((WEEK - 1, []), (WEEK, [3]), (2 * WEEK - 1, [3]), (2 * WEEK, [])):
        assert known.at(60.0 * minute).of(0).items.tolist() == expected
    assert known.at(60.0 * WEEK).of(1).items.tolist() == []


def test_a_store_has_its_own_promotions_and_those_of_all_stores() -> None:
    known = calendar((4, 0, 0, WEEK, DISPLAY), (2, EVERYWHERE, 0, WEEK, FLYER), (4, EVERYWHERE, 0, DAY, FLYER))
    here, elsewhere = known.at(0).of(0), known.at(0).of(None)
    assert here.items.tolist() == [2, 4]
    assert here.flags.tolist() == [[1, 1, 0], [0, 1, 0], [1, 1, 0]]
    assert here.places_of(np.array([4, 0, 2, 5], np.int32)).tolist() == [1, 2, 0, 2]
    assert elsewhere.items.tolist() == [2, 4]
    assert elsewhere.flags[1].tolist() == [0, 0, 0]
    assert known.at(60.0 * DAY).of(0).flags[2].tolist() == [1, 0, 0]


def test_shares_count_the_stores_that_promote_anything_now() -> None:
    known = calendar(
        (0, 0, 0, WEEK, BOTH), (1, 1, 0, WEEK, NEITHER), (2, EVERYWHERE, 0, WEEK, FLYER), (3, 7, WEEK, 2 * WEEK, FLYER)
    )
    promoted, displayed, in_flyer = known.at(0).shares
    assert promoted.tolist() == [0.5, 0.5, 1, 0, 0, 0]
    assert displayed.tolist() == [0.5, 0, 0, 0, 0, 0]
    assert in_flyer.tolist() == [0.5, 0, 1, 0, 0, 0]


def test_at_most_so_many_products_lead_those_that_sell_best_on_promotion() -> None:
    count = LEADING_COUNT + 50
    known = calendar(*[(item, 0, 0, WEEK, FLYER) for item in range(count)], item_count=count)
    assert sorted(known.at(0).of(0).leading.tolist()) == list(range(LEADING_COUNT))


def test_one_span_between_two_changes_is_made_once() -> None:
    known = calendar((3, 0, 0, WEEK, FLYER), (3, 0, WEEK, 2 * WEEK, FLYER))
    assert known.at(60.0 * DAY) is known.at(120.0 * DAY)
    assert known.at(60.0 * DAY) is not known.at(60.0 * WEEK)
    # Far from all that is known there is nothing, and no end of it.
    assert known.at(1e10).of(0).items.tolist() == []


def test_a_later_product_has_no_promotion() -> None:
    known = calendar((3, 0, 0, WEEK, FLYER)).extended(8)
    assert known.lift.tolist()[-2:] == [0, 0]
    assert known.at(0).shares.shape == (3, 8)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("promotion_item.npy", np.array([99_999], np.int32), "holds position 99,999"),
        ("promotion_store.npy", np.array([5], np.int32), "holds position 5 of 1 promotion stores"),
        ("promotion_minutes.npy", np.zeros((2, 2), np.int32), "has 2 promotions"),
    ],
)
def test_a_bundle_whose_promotions_do_not_fit_together_is_refused(
    own_world: World, name: str, value: np.ndarray, fault: str
) -> None:
    bundles = own_world.settings.bundles_dir
    found = load_bundle(_with_promotions(bundles, "sound", {}))
    assert found.promotions is not None
    assert found.promotions.at(0).of(0).items.tolist() == [1]
    with pytest.raises(BundleRefused, match=fault):
        load_bundle(_with_promotions(bundles, "spoiled", {name: value}))


def _with_promotions(bundles_dir: Path, suffix: str, spoiled: dict[str, np.ndarray]) -> Path:
    lift = np.ones(load_bundle(bundles_dir / current_version(bundles_dir)).item_count, np.float32)
    one, minutes = np.array([1], np.int32), np.array([[0, WEEK]], np.int32)
    arrays = calendar_arrays(one, np.array([0], np.int32), minutes, np.array([[True, False]]), lift)
    files = {f"{name}.npy": array for name, array in arrays.items()} | spoiled
    return bundles_dir / copied(bundles_dir, suffix, arrays=files, documents={"promotions.json": {"stores": ["s0"]}})
