"""What an offer index holds of campaigns and offers, and that the one in use is that of the ledger's last word."""

import gc
from dataclasses import replace
from datetime import timedelta
from math import exp
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from app.model.bundle import Bundle
from app.offers.display.offer_index import FAULTS, TOP_COUNT, OfferIndex
from app.offers.terms.records import Offer
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import act_on_campaign, change_offer, find_offer, withdraw_offer
from app.stores.sql.campaigns.offer_indexes import OfferIndexes
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from app.stores.sql.database.tables import offers
from tests.support.offer_indexes import HALF, NOW_S, ONE, campaign, offer, offer_index_of, small_bundle, until
from tests.support.tills import START, run_campaign

EUROS = CampaignTerms(name="k", currency="EUR")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle"))


def full(offer_index: OfferIndex | None) -> OfferIndex:
    assert offer_index is not None
    return offer_index


def held(bundle: Bundle, one: Offer) -> set[str]:
    items = full(offer_index_of(bundle, one)).items
    return {bundle.catalogue.product_ids[item] for item in items.items.tolist()}


@pytest.mark.parametrize(
    ("terms", "numbers"),
    [
        ({"applies_to": [{"product_ids": ["p1", "p7", "p99"]}]}, [1, 7]),
        ({"applies_to": [{"attribute": "department", "values": ["d1"]}]}, [1, 3, 5, 7, 9, 11]),
        ({"applies_to": [{"attribute": "category", "values": ["c0", "c3", "none"]}]}, [0, 3, 4, 7, 8, 11]),
        ({"applies_to": [{"attribute": "nothing", "values": ["such"]}]}, []),
        ({"applies_to": [{"product_ids": ["p1"]}, {"attribute": "category", "values": ["c0"]}]}, [0, 1, 4, 8]),
        ({}, range(12)),
        ({"excludes": [{"attribute": "department", "values": ["d0"]}]}, [1, 3, 5, 7, 9, 11]),
        (
            {
                "applies_to": [{"attribute": "department", "values": ["d0"]}],
                "excludes": [{"product_ids": ["p0", "p2"]}, {"attribute": "category", "values": ["c2"]}],
            },
            [4, 8],
        ),
    ],
)
def test_offer_holds_what_its_selections_say(bundle: Bundle, terms: dict[str, Any], numbers: Any) -> None:
    assert held(bundle, offer("o", **terms)) == {f"p{number}" for number in numbers}


def test_top_is_the_most_popular_of_each_offer(bundle: Bundle) -> None:
    offer_index = full(offer_index_of(bundle, offer("few", "p3", "p9"), offer("all"), offer("none", "p99")))
    few = sorted(bundle.catalogue.known(["p3", "p9"]).tolist())
    assert offer_index.top[0].tolist() == [*few, *[-1] * (TOP_COUNT - 2)]
    assert offer_index.top[1].tolist() == list(range(TOP_COUNT))
    assert (offer_index.top[2] == -1).all()


def test_window_is_the_narrower_of_campaign_and_offer(bundle: Bundle) -> None:
    theirs = campaign(starts_at=until(-3), ends_at=until(9))
    offer_index = full(
        offer_index_of(
            bundle,
            offer("wide", "p1", valid_from=until(-9), valid_until=until(99)),
            offer("narrow", "p1", valid_from=until(1), valid_until=until(2)),
            campaigns=[theirs],
        )
    )
    day = 86_400
    assert offer_index.opens_s.tolist() == [NOW_S - 3 * day, NOW_S + day]
    assert offer_index.closes_s.tolist() == [NOW_S + 9 * day, NOW_S + 2 * day]


@pytest.mark.parametrize(
    ("discount", "others", "saving", "cost"),
    [
        (HALF, {}, 200, 200),
        ({"type": "percent", "percent": 50, "max_discount_minor": 30}, {}, 30, 30),
        (HALF, {"price_floor_minor": 350}, 50, 50),
        (HALF, {"price_floor_minor": 500}, 0, 0),
        (ONE, {}, 100, 100),
        ({"type": "amount", "amount_minor": 900}, {}, 400, 400),
        ({"type": "fixed_price", "price_minor": 250}, {}, 150, 150),
        ({"type": "fixed_price", "price_minor": 450}, {}, 0, 0),
        ({"type": "n_for_m", "take": 4, "pay": 3}, {}, 100, 100),
        ({"type": "points", "points": 7, "point_cost_minor": 2}, {}, 0, 14),
        ({"type": "points", "points_per_major": 3, "point_cost_minor": 2}, {}, 0, 24),
    ],
)
def test_each_kind_of_discount_on_a_piece_of_four_euros(
    bundle: Bundle, discount: dict[str, Any], others: dict[str, Any], saving: float, cost: float
) -> None:
    one, supplier = offer("o", "p3", discount=discount, **others), campaign(funder="a brewery")
    worths = full(offer_index_of(bundle, one)).worths
    assert worths.money[:, 0].tolist() == [400, 200, saving, cost]
    assert exp(worths.log_weight[0]) == pytest.approx(1 + (200 - cost) / 400)
    gives = saving > 0 or discount["type"] == "points"
    assert FAULTS[worths.fault[0]] == ("no_effect" if not gives else "price_floor" if cost > 200 else None)
    assert full(offer_index_of(bundle, one, campaigns=[supplier])).worths.money[2:4, 0].tolist() == [saving, 0]


def test_last_pair_is_no_product(bundle: Bundle) -> None:
    offer_index = full(offer_index_of(bundle, offer("none", "p99"), offer("one", "p3")))
    assert offer_index.first.tolist() == [1, 0]
    assert [FAULTS[fault] for fault in offer_index.worths.fault] == [None, "out_of_stock"]


def test_features_know_depth_and_siblings_of_each_offer(bundle: Bundle) -> None:
    other = campaign("other")
    offers = [offer("a", "p3"), offer("b", "p3", discount=ONE), offer("c", "p99", of="other")]
    standing = full(offer_index_of(bundle, *offers, campaigns=[campaign(), other])).items.standing
    np.testing.assert_allclose(standing[3], np.log1p([2, 2, 1]))
    np.testing.assert_allclose(standing[4], [0.5, 0.25, np.nan])


def indexed(offer_indexes: OfferIndexes, bundle: Bundle) -> list[str]:
    offer_index = offer_indexes.offer_index_of(bundle)
    return [] if offer_index is None else [one.offer_id for one in offer_index.offers]


def half_off(*product_ids: str) -> OfferTerms:
    return offer("any", *product_ids).terms


def test_indexes_follow_every_change_in_the_ledger(bundle: Bundle, ledger: Ledger) -> None:
    offer_indexes = OfferIndexes(ledger)
    offer_indexes.prepare(bundle)
    assert indexed(offer_indexes, bundle) == []
    run_campaign(ledger, "k", EUROS, half_off("p1"), half_off("p2"))
    assert offer_indexes.refresh()
    assert indexed(offer_indexes, bundle) == ["k-0", "k-1"]
    assert not offer_indexes.refresh()
    changes: list[tuple[Any, list[str]]] = [
        (lambda connection: act_on_campaign(connection, "k", "pause", now=START), []),
        (lambda connection: act_on_campaign(connection, "k", "resume", now=START), ["k-0", "k-1"]),
        (lambda connection: withdraw_offer(connection, "k-0", now=START), ["k-1"]),
        (lambda connection: withdraw_offer(connection, "k-0", is_active=True, now=START), ["k-0", "k-1"]),
        (lambda connection: act_on_campaign(connection, "k", "end", now=START), []),
    ]
    for change, expected in changes:
        ledger.write(change)
        assert offer_indexes.refresh()
        assert indexed(offer_indexes, bundle) == expected


def test_index_holds_the_last_revision(bundle: Bundle, ledger: Ledger) -> None:
    run_campaign(ledger, "k", EUROS, half_off("p1"))
    offer_indexes = OfferIndexes(ledger)
    offer_indexes.prepare(bundle)
    terms = find_terms(ledger, "k-0").model_copy(update={"name": "better"})
    ledger.write(lambda connection: change_offer(connection, "k-0", terms, revision=1, now=START))
    assert offer_indexes.refresh()
    (one,) = full(offer_indexes.offer_index_of(bundle)).offers
    assert (one.name, one.revision) == ("better", 2)


def find_terms(ledger: Ledger, offer_id: str) -> OfferTerms:
    return ledger.read(lambda connection: find_offer(connection, offer_id)).terms


def test_campaign_whose_end_has_passed_is_not_even_read(bundle: Bundle, ledger: Ledger) -> None:
    over = CampaignTerms(name="k", currency="EUR", ends_at=START + timedelta(days=1))
    run_campaign(ledger, "k", over, half_off("p1"))
    offer_indexes = OfferIndexes(ledger)
    offer_indexes.prepare(bundle)
    assert offer_indexes.offer_index_of(bundle) is None


def test_every_bundle_has_its_own_index_and_none_is_kept_alive(bundle: Bundle, ledger: Ledger) -> None:
    run_campaign(ledger, "k", EUROS, half_off("p1"))
    offer_indexes = OfferIndexes(ledger)
    for number in range(6):
        other = replace(bundle, version=f"other-{number}")
        offer_indexes.prepare(other)
        assert indexed(offer_indexes, other) == ["k-0"]
    offer_indexes.prepare(bundle)
    assert indexed(offer_indexes, bundle) == ["k-0"]
    del other
    gc.collect()
    offer_indexes.refresh()
    assert len(offer_indexes._indexes) == 1


def test_bundle_prepared_while_the_ledger_is_away_gets_its_index_later(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "away" / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}")
    offer_indexes = OfferIndexes(ledger)
    offer_indexes.prepare(bundle)
    assert not offer_indexes.refresh()
    assert "offers not laid out" in caplog.text
    path.parent.mkdir()
    upgrade(ledger)
    run_campaign(ledger, "k", EUROS, half_off("p1"))
    assert offer_indexes.refresh()
    assert indexed(offer_indexes, bundle) == ["k-0"]
    # Nothing changes, but a bundle comes while the ledger is away once more.
    ledger.close()
    path.parent.rename(tmp_path / "gone")
    later = replace(bundle, version="later")
    offer_indexes.prepare(later)
    (tmp_path / "gone").rename(path.parent)
    assert indexed(offer_indexes, bundle) == ["k-0"]
    assert indexed(offer_indexes, later) == []
    assert offer_indexes.refresh()
    assert indexed(offer_indexes, later) == ["k-0"]
    ledger.close()


def test_offer_that_nobody_can_compute_is_left_out_and_logged(
    bundle: Bundle, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    run_campaign(ledger, "k", EUROS, half_off("p1"), half_off("p2"))
    tiny = {"name": "tiny", "discount": {"type": "percent", "percent": 1e-9}}
    ledger.write(
        lambda connection: connection.execute(update(offers).where(offers.c.offer_id == "k-0").values(terms=tiny))
    )
    offer_indexes = OfferIndexes(ledger)
    offer_indexes.prepare(bundle)
    assert indexed(offer_indexes, bundle) == ["k-1"]
    assert [record.detail for record in caplog.records if "left out" in record.message] == [  # type: ignore[attr-defined]
        "offer 'k-0': /discount/percent: Input should be greater than or equal to 0.01"
    ]


def test_bundles_and_changes_at_once_leave_every_index_up_to_date(bundle: Bundle, ledger: Ledger) -> None:
    run_campaign(ledger, "k", EUROS, half_off("p1"))
    offer_indexes = OfferIndexes(ledger)
    bundles = [replace(bundle, version=str(number)) for number in range(12)]

    def change() -> None:
        for number in range(6):
            is_active = bool(number % 2)
            ledger.write(lambda connection, on=is_active: withdraw_offer(connection, "k-0", is_active=on, now=START))  # type: ignore[misc]
            offer_indexes.refresh()

    threads = [Thread(target=change), *(Thread(target=offer_indexes.prepare, args=(one,)) for one in bundles)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    offer_indexes.refresh()
    assert all(indexed(offer_indexes, one) == ["k-0"] for one in bundles)
