"""A receipt that meets an offer gives its customer one coupon, and a refund revokes it as long as nobody used it."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from threading import Barrier, BrokenBarrierError

import pytest

from app.api.till.responses import reservation_response
from app.domain import PURCHASE, REFUND
from app.offers.rules.receipts import ReceiptLine
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.records import Coupon, CouponStatus
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import act_on_campaign, withdraw_offer
from app.stores.sql.campaigns.memberships import set_tier
from app.stores.sql.coupons.issuing import coupons_of, revoke_pending
from app.stores.sql.coupons.receipt_issuing import BatchResult, RetailerData, delete_receipt_lines, issue_for_receipts
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import reserve
from app.stores.sql.redemption.reservations import expire_reservations
from tests.support.tills import START, pay, return_lines, run_campaign

NOON = START + timedelta(days=20, hours=12)
ABOVE_50 = {"type": "basket_total", "above_minor": 5000}
ISSUED, REVOKED = CouponStatus.ISSUED, CouponStatus.REVOKED


def zone_of(store_id: str | None) -> str:
    return "Asia/Tokyo" if store_id == "tokyo" else "Europe/Berlin"


def attributes_of(product_ids: Collection[str], names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    return {product_id: dict.fromkeys(names, "acme") for product_id in product_ids}


RETAILER = RetailerData(zone_of, attributes_of)


def terms(condition: object = ABOVE_50, *, same_day: bool = True, **fields: object) -> OfferTerms:
    issuing = {"by": "receipt", "condition": condition, "same_day": same_day}
    discount = Amount(type="amount", amount_minor=500)
    return OfferTerms.model_validate({"name": "five off", "discount": discount, "issue": issuing} | fields)


def run(ledger: Ledger, *offers: OfferTerms, campaign_id: str = "c", **fields: object) -> None:
    campaign = CampaignTerms.model_validate({"name": campaign_id, "currency": "EUR"} | fields)
    run_campaign(ledger, campaign_id, campaign, *(offers or (terms(),)))


def line(amount_minor: int, event_id: str = "e", product_id: str = "p", **fields: object) -> ReceiptLine:
    made = ReceiptLine(
        "r", event_id, PURCHASE, product_id, 1.0, amount_minor, "EUR", "ann", "store", "s1", NOON, NOON
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of ReceiptLine


def refund(amount_minor: int, event_id: str = "back") -> ReceiptLine:
    later = NOON + timedelta(days=2)
    return line(-amount_minor, event_id, kind=REFUND, customer_id=None, occurred_at=later, accepted_at=later)


def take(ledger: Ledger, *lines: ReceiptLine) -> BatchResult:
    return issue_for_receipts(ledger, lines, RETAILER, now=NOON)


def wallet(ledger: Ledger, customer_id: str = "ann") -> list[Coupon]:
    return ledger.read(lambda connection: coupons_of(connection, [customer_id], open_only=False))


def statuses(ledger: Ledger) -> list[CouponStatus]:
    return [coupon.status for coupon in wallet(ledger)]


@pytest.mark.parametrize(("amount_minor", "count"), [(5000, 0), (5001, 1)])
def test_receipt_above_the_line_gives_its_customer_a_coupon(ledger: Ledger, amount_minor: int, count: int) -> None:
    run(ledger)
    assert take(ledger, line(amount_minor)) == BatchResult(1, count, customer_ids=frozenset({"ann"} if count else ()))
    assert [(coupon.offer_id, coupon.issued_by) for coupon in wallet(ledger)] == [("c-0", "receipt")] * count


def test_lines_in_any_order_and_batches_give_one_coupon(ledger: Ledger) -> None:
    run(ledger)
    lines = [line(2000, "e"), line(2000, "e:1", "q"), line(1001, "e:2", "o")]
    for number, order in enumerate(permutations(lines)):
        for one in order:
            take(ledger, replace(one, receipt_id=f"r{number}", customer_id=f"c{number}"))
        assert len(wallet(ledger, f"c{number}")) == 1


def test_replayed_receipt_issues_once(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5001))
    for again in (line(5001), line(5001, "other"), line(9000, "third", accepted_at=NOON + timedelta(days=9))):
        assert take(ledger, again).issued_count == 0
    assert statuses(ledger) == [ISSUED]


def test_half_a_receipt_sent_twice_is_no_whole_one(ledger: Ledger) -> None:
    run(ledger)
    for event_id in ("a", "b", "c"):
        take(ledger, line(3000, event_id))
    assert wallet(ledger) == []


def test_refund_below_the_line_revokes_the_unused_coupon_for_good(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5100))
    assert take(ledger, refund(99)).revoked_count == 0
    assert statuses(ledger) == [ISSUED]
    assert take(ledger, refund(1, "back-2")).revoked_count == 1
    assert take(ledger, refund(1, "back-2")).revoked_count == 0
    take(ledger, line(9000, "late", "q"))
    assert statuses(ledger) == [REVOKED]


def test_refund_that_comes_first_counts(ledger: Ledger) -> None:
    run(ledger)
    assert take(ledger, refund(1)) == BatchResult(line_count=1)
    take(ledger, line(5001))
    assert wallet(ledger) == []


def test_refund_of_a_used_coupon_s_receipt_leaves_it_used(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5001))
    redemption_id = pay(ledger, wallet(ledger)[0], [2000], now=NOON)
    assert take(ledger, refund(1)).revoked_count == 0
    assert revoke_pending(ledger, now=NOON) == 0
    assert statuses(ledger) == [CouponStatus.REDEEMED]
    return_lines(ledger, redemption_id, now=NOON)
    assert revoke_pending(ledger, now=NOON) == 1
    assert statuses(ledger) == [REVOKED]
    assert revoke_pending(ledger, now=NOON) == 0


def test_refund_while_the_coupon_is_reserved_revokes_it_when_it_is_free_again(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5001))
    (coupon,) = wallet(ledger)
    basket = Basket((BasketLine("0", "p", 1.0, 2000),), "EUR")
    question = Question(basket, Situation(NOON, "ann"), codes=(coupon.code,))
    request = IdempotentRequest("till", "k", "k", NOON)
    assert (
        reserve(
            ledger, question, order_id="o", ttl=timedelta(minutes=15), request=request, render=reservation_response
        ).status
        == 201
    )
    assert take(ledger, refund(1)).revoked_count == 0
    assert revoke_pending(ledger, now=NOON) == 0
    later = NOON + timedelta(minutes=15)
    assert expire_reservations(ledger, now=later) == 1
    assert revoke_pending(ledger, now=later) == 1
    assert statuses(ledger) == [REVOKED]


def test_anonymous_receipt_gives_nothing_and_a_line_of_another_customer_does_not_count(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(4000), line(4000, "f", "q", customer_id="bob", accepted_at=NOON + timedelta(seconds=1)))
    assert wallet(ledger) == wallet(ledger, "bob") == []


def test_rule_counts_its_own_currency_alone(ledger: Ledger) -> None:
    run(ledger)
    run(ledger, campaign_id="swiss", currency="CHF")
    take(ledger, line(5001))
    take(ledger, line(5001, "f", receipt_id="s", currency="CHF"))
    assert sorted(coupon.offer_id for coupon in wallet(ledger)) == ["c-0", "swiss-0"]


def test_each_offer_is_checked_by_itself_with_the_customer_s_tier_and_the_products_attributes(ledger: Ledger) -> None:
    gold = {"type": "tier", "any_of": ["gold"]}
    acme = {"type": "contains", "products": [{"attribute": "brand", "values": ["acme"]}]}
    run(ledger, terms(), terms(gold), terms(acme), terms({"type": "basket_total", "above_minor": 9000}))
    ledger.write(lambda connection: set_tier(connection, "ann", "gold", now=START))
    assert take(ledger, line(5001)).issued_count == 3
    assert sorted(coupon.offer_id for coupon in wallet(ledger)) == ["c-0", "c-1", "c-2"]


def test_day_is_that_of_the_store_s_zone(ledger: Ledger) -> None:
    run(ledger)
    # In Tokyo midnight is at 15:00 UTC.
    bought_at, accepted_at = NOON.replace(hour=14, minute=59), NOON.replace(hour=15, minute=1)
    for store_id in ("tokyo", "berlin"):
        sold = line(5001, occurred_at=bought_at, accepted_at=accepted_at)
        take(ledger, replace(sold, receipt_id=store_id, customer_id=store_id, store_id=store_id))
    assert wallet(ledger, "tokyo") == []
    assert len(wallet(ledger, "berlin")) == 1


def test_campaign_gives_coupons_only_as_it_runs(ledger: Ledger) -> None:
    run(ledger, terms(same_day=False), starts_at=NOON, ends_at=NOON + timedelta(days=1))
    before, after = NOON - timedelta(seconds=1), NOON + timedelta(days=1)
    assert take(ledger, line(5001, occurred_at=before)).issued_count == 0
    late = line(5001, "f", receipt_id="late")
    assert issue_for_receipts(ledger, [late], RETAILER, now=after) == BatchResult()
    assert take(ledger, line(5001, "g", receipt_id="g")).issued_count == 1
    ledger.write(lambda connection: act_on_campaign(connection, "c", "pause", now=NOON))
    assert take(ledger, line(5001, "h", receipt_id="h")) == BatchResult(line_count=1)


def test_withdrawn_offer_gives_nothing_and_still_heeds_refunds(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5001))
    ledger.write(lambda connection: withdraw_offer(connection, "c-0", now=NOON))
    assert take(ledger, line(5001, "f", receipt_id="other")).issued_count == 0
    assert take(ledger, refund(1)).revoked_count == 1


def test_without_a_rule_nothing_is_kept(ledger: Ledger) -> None:
    assert take(ledger, line(5001)) == BatchResult()
    run(
        ledger,
        terms().model_copy(update={"issue": OfferTerms.model_fields["issue"].get_default(call_default_factory=True)}),
    )
    assert take(ledger, line(5001)) == BatchResult()
    run(ledger, campaign_id="late")
    assert take(ledger, line(5001)) == BatchResult(line_count=1, issued_count=1, customer_ids=frozenset({"ann"}))


def test_two_workers_with_half_a_receipt_each_issue_one_coupon(ledger: Ledger) -> None:
    run(ledger)
    # Where both could be in the midst of their transactions they would meet, each with its own half alone.
    meeting = Barrier(2)

    def meet(product_ids: Collection[str], names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        with suppress(BrokenBarrierError):
            meeting.wait(timeout=0.5)
        return attributes_of(product_ids, names)

    halves = [line(2600, "e:0", "p"), line(2600, "e:1", "q")]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(
            lambda half: issue_for_receipts(ledger, [half], RetailerData(zone_of, meet), now=NOON), halves
        )
        assert sorted(one.issued_count for one in results) == [0, 1]
    assert statuses(ledger) == [ISSUED]


def test_forgotten_receipt_keeps_its_coupon(ledger: Ledger) -> None:
    run(ledger)
    take(ledger, line(5001))
    keep = timedelta(days=90)
    assert delete_receipt_lines(ledger, now=NOON + keep, keep=keep) == 0
    assert delete_receipt_lines(ledger, now=NOON + keep + timedelta(seconds=1), keep=keep) == 1
    assert take(ledger, refund(5001)) == BatchResult(line_count=1)
    assert statuses(ledger) == [ISSUED]
    assert take(ledger, line(6000, "f", accepted_at=NOON)).issued_count == 0
