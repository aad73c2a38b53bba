"""Coupons are issued once per reason, found however they are typed or scanned, and end by revocation or by time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select

from app.errors import BadInput
from app.offers.terms.codes import normal_code, shown_code
from app.offers.terms.gs1 import element_string
from app.offers.terms.records import Coupon, CouponStatus
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import act_on_campaign, find_campaign, find_offer
from app.stores.sql.coupons import issuing as coupons
from app.stores.sql.coupons.issuing import CodeTaken, ShownStatus
from app.stores.sql.coupons.staff_issuing import with_terms
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import projection_queue
from tests.support.tills import START, run_campaign

GCN, OTHER_GCN = "5012345678900", "4006381333931"
DAY = timedelta(days=1)


def terms(**fields: object) -> OfferTerms:
    return OfferTerms.model_validate({"name": "off", "discount": Amount(type="amount", amount_minor=500)} | fields)


def run(ledger: Ledger, *offers: OfferTerms, time_zone: str = "Europe/Berlin", **fields: object) -> None:
    document = {"name": "c", "currency": "EUR", "time_zone": time_zone} | fields
    run_campaign(ledger, "c", CampaignTerms.model_validate(document), *offers)


def issue(
    ledger: Ledger,
    customer_ids: Sequence[str | None] = ("ann",),
    *,
    offer_id: str = "c-0",
    keys: Sequence[str] | None = None,
    code: str | None = None,
    now: datetime = START,
) -> list[Coupon]:
    return ledger.write(
        lambda connection: coupons.issue(
            connection, find_offer(connection, offer_id), find_campaign(connection, "c"), customer_ids,
            issued_by="test", issue_keys=keys, code=code, now=now,
        )
    )  # fmt: skip


def find(ledger: Ledger, typed: str) -> Coupon | None:
    return ledger.read(lambda connection: coupons.find_by_code(connection, typed))


def status_of(ledger: Ledger, coupon: Coupon) -> CouponStatus:
    found = ledger.read(lambda connection: coupons.find_coupon(connection, coupon.coupon_id))
    assert found is not None
    return found.status


def revoke(ledger: Ledger, coupon: Coupon) -> bool:
    return ledger.write(lambda connection: coupons.revoke(connection, coupon.coupon_id, now=START))


def queued(ledger: Ledger) -> set[str]:
    """Whose projections are stale, which are not any more after this."""

    def work(connection):  # type: ignore[no-untyped-def]  # a Connection
        found = set(connection.execute(select(projection_queue.c.subject)).scalars())
        connection.execute(delete(projection_queue))
        return found

    return set(ledger.write(work))


def test_coupon_is_stored_as_it_was_issued(ledger: Ledger) -> None:
    run(ledger, terms(uses_per_code=3))
    queued(ledger)
    made = issue(ledger, ["ann", "bob", None])
    assert [coupon.customer_id for coupon in made] == ["ann", "bob", None]
    assert len({coupon.code for coupon in made}) == 3
    for coupon in made:
        assert find(ledger, coupon.code) == coupon
        assert (coupon.status, coupon.max_uses, coupon.uses) == (CouponStatus.ISSUED, 3, 0)
    assert queued(ledger) == {"customer:ann", "customer:bob"}


def test_same_issue_is_not_repeated(ledger: Ledger) -> None:
    run(ledger, terms())
    (first,) = issue(ledger, ["ann"], keys=["k:ann"])
    queued(ledger)
    assert issue(ledger, ["ann"], keys=["k:ann"]) == []
    assert queued(ledger) == set()
    assert revoke(ledger, first)
    again = issue(ledger, ["zoe", "ann", "zoe", "bob"], keys=["k:zoe", "k:ann", "k:zoe", "k:bob"])
    assert [coupon.customer_id for coupon in again] == ["zoe", "bob"]


def test_thousands_are_issued_at_once_in_their_order(ledger: Ledger) -> None:
    run(ledger, terms(gcn=GCN))
    people = [f"c{number}" for number in range(2500)]
    made = issue(ledger, people, keys=[f"k:{one}" for one in people])
    assert [coupon.customer_id for coupon in made] == people
    assert len({coupon.serial for coupon in made}) == len({coupon.code for coupon in made}) == 2500
    assert issue(ledger, people, keys=[f"k:{one}" for one in people]) == []


def test_code_of_one_s_own_is_found_however_it_is_typed_and_is_taken_then(ledger: Ledger) -> None:
    run(ledger, terms(uses_per_code=None))
    (coupon,) = issue(ledger, [None], code="Welcome-10")
    assert coupon.code == normal_code("WELCOME10")
    assert find(ledger, "welcome 10") == coupon
    with pytest.raises(CodeTaken):
        issue(ledger, [None], code="WELC0ME1O")
    assert issue(ledger, ["ann"], keys=["k"], code="OTHER") != []
    assert issue(ledger, ["ann"], keys=["k"], code="OTHER") == []


def test_code_of_one_s_own_names_one_coupon(ledger: Ledger) -> None:
    run(ledger, terms())
    for people, code in ((["ann", "bob"], "WELCOME"), (["ann"], "no!")):
        with pytest.raises(BadInput):
            issue(ledger, people, code=code)
    assert issue(ledger, []) == []


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


MORNING = "2026-11-21T09:00:00Z"


@pytest.mark.parametrize(
    ("promised", "issued", "until"),
    [
        ({}, MORNING, None),
        ({"valid_days": 7}, MORNING, "2026-11-29T00:00:00+01:00"),
        ({"valid_days": 1}, "2026-11-21T23:59:59+01:00", "2026-11-23T00:00:00+01:00"),
        ({"valid_days": 1}, "2026-11-22T00:00:00+01:00", "2026-11-24T00:00:00+01:00"),
        ({"valid_days": 1}, "2027-03-27T23:30:00+01:00", "2027-03-29T00:00:00+02:00"),
        ({"valid_days": 1}, "2026-10-25T00:30:00+02:00", "2026-10-27T00:00:00+01:00"),
        ({"valid_days": 7, "valid_until": at("2026-11-25T12:00:00Z")}, MORNING, "2026-11-25T12:00:00Z"),
        ({"valid_days": 2, "valid_until": at("2026-12-25T12:00:00Z")}, MORNING, "2026-11-24T00:00:00+01:00"),
        ({"valid_days": 2, "valid_from": at("2026-12-01T00:00:00+01:00")}, MORNING, "2026-12-04T00:00:00+01:00"),
    ],
)
def test_days_of_validity_end_with_a_day_of_the_campaign_s_zone(
    ledger: Ledger, promised: dict[str, object], issued: str, until: str | None
) -> None:
    run(ledger, terms(**promised))
    (coupon,) = issue(ledger, now=at(issued))
    assert coupon.valid_until == (None if until is None else at(until))
    assert coupon.valid_from == promised.get("valid_from")


def test_coupon_is_found_by_code_as_people_type_it(ledger: Ledger) -> None:
    run(ledger, terms())
    (coupon,) = issue(ledger)
    shown = shown_code(coupon.code)
    for typed in (shown, shown.lower(), f"  {coupon.code} ", shown.replace("-", " ")):
        assert find(ledger, typed) == coupon
    for other in ("", "no such code", coupon.code[:-1], coupon.code + "0", f"(255){GCN}"):
        assert find(ledger, other) is None


def gs1(ledger: Ledger, coupon: Coupon) -> str | None:
    return ledger.read(lambda connection: with_terms(connection, coupon)).gs1


def test_coupon_is_found_by_what_a_till_scans(ledger: Ledger) -> None:
    run(ledger, terms(gcn=GCN, valid_days=7), terms(gcn=OTHER_GCN), terms())
    (coupon,), (other,), (plain,) = (issue(ledger, offer_id=f"c-{number}") for number in range(3))
    assert coupon.serial is not None
    written = gs1(ledger, coupon)
    assert written == f"(255){GCN}{coupon.serial}(17)261108"
    digits = GCN + coupon.serial
    for sent in (written, f"(255){digits}", f"255{digits}", f"]C1255{digits}\x1d17261108", f"]e017261108255{digits}"):
        assert find(ledger, sent) == coupon
    wrong_digit = str((int(GCN[-1]) + 1) % 10)
    for sent in (
        f"(255){GCN[:12]}{wrong_digit}{coupon.serial}", f"(255){OTHER_GCN}{coupon.serial}", f"(255){GCN}", digits,
        f"(01)0{digits}", f"(255){digits}0",
    ):  # fmt: skip
        assert find(ledger, sent) is None
    assert find(ledger, element_string(OTHER_GCN, other.serial or "")) == other
    assert gs1(ledger, other) == f"(255){OTHER_GCN}{other.serial}"
    assert gs1(ledger, plain) is None


def test_wallet_holds_the_customer_s_own_latest_first(ledger: Ledger) -> None:
    run(ledger, terms())
    (old,), (gone,), (new,) = (issue(ledger, now=START + number * DAY) for number in range(3))
    issue(ledger, ["bob", None])
    assert revoke(ledger, gone)
    every, opened = (
        ledger.read(lambda connection, only=only: coupons.coupons_of(connection, ["ann"], open_only=only))  # type: ignore[misc]
        for only in (False, True)
    )
    assert [coupon.coupon_id for coupon in every] == [new.coupon_id, gone.coupon_id, old.coupon_id]
    assert opened == [new, old]


def test_unused_coupon_is_revoked_once(ledger: Ledger) -> None:
    run(ledger, terms())
    (coupon,) = issue(ledger)
    queued(ledger)
    assert revoke(ledger, coupon)
    assert queued(ledger) == {"customer:ann"}
    assert not revoke(ledger, coupon)
    assert queued(ledger) == set()
    assert status_of(ledger, coupon) is CouponStatus.REVOKED


def test_coupon_expires_at_its_last_instant_and_not_before(ledger: Ledger) -> None:
    end = START + DAY
    run(ledger, terms(valid_until=end), terms())
    due = issue(ledger, [f"c{number}" for number in range(25)])
    (endless,) = issue(ledger, offer_id="c-1")
    queued(ledger)
    assert coupons.expire_due(ledger, now=end - timedelta(microseconds=1), batch=10) == 0
    assert coupons.expire_due(ledger, now=end, batch=10) == 25
    assert queued(ledger) == {f"customer:{coupon.customer_id}" for coupon in due}
    assert coupons.expire_due(ledger, now=end, batch=10) == 0
    assert {status_of(ledger, coupon) for coupon in due} == {CouponStatus.EXPIRED}
    assert status_of(ledger, endless) is CouponStatus.ISSUED


def shown(ledger: Ledger, coupon: Coupon, now: datetime = START) -> ShownStatus:
    campaign = ledger.read(lambda connection: find_campaign(connection, "c"))
    found = find(ledger, coupon.code)
    assert found is not None
    return coupons.shown_status(found, campaign, now=now)


def test_wallet_calls_a_coupon_what_it_is_worth_now(ledger: Ledger) -> None:
    run(ledger, terms(valid_from=START + DAY, valid_until=START + 3 * DAY), ends_at=START + 9 * DAY)
    (coupon,) = issue(ledger)
    assert shown(ledger, coupon) is ShownStatus.PENDING
    assert shown(ledger, coupon, START + DAY) is ShownStatus.ACTIVE
    assert shown(ledger, coupon, START + 3 * DAY) is ShownStatus.EXPIRED
    for action, status in (
        ("pause", ShownStatus.DISABLED),
        ("resume", ShownStatus.ACTIVE),
        ("end", ShownStatus.EXPIRED),
    ):
        ledger.write(lambda connection, act=action: act_on_campaign(connection, "c", act, now=START))  # type: ignore[misc]
        assert shown(ledger, coupon, START + DAY) is status
    assert revoke(ledger, coupon)
    assert shown(ledger, coupon, START + DAY) is ShownStatus.DISABLED


def test_wallet_calls_a_coupon_of_a_campaign_to_come_pending(ledger: Ledger) -> None:
    run(ledger, terms(), starts_at=START + DAY, ends_at=START + 2 * DAY)
    (coupon,) = issue(ledger)
    assert shown(ledger, coupon) is ShownStatus.PENDING
    assert shown(ledger, coupon, START + DAY) is ShownStatus.ACTIVE
    assert shown(ledger, coupon, START + 2 * DAY) is ShownStatus.EXPIRED
