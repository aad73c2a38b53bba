"""Campaigns that run and orders that are paid, in a few words for tests about what follows from them."""

from datetime import UTC, datetime
from itertools import count

import orjson

from app.api.till.responses import redemption_response, rollback_response
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.records import Coupon
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import act_on_campaign, create_campaign, create_offer, find_campaign, find_offer
from app.stores.sql.coupons.issuing import issue
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem
from app.stores.sql.redemption.rollback import ReturnedLine, roll_back

START = datetime(2026, 11, 1, tzinfo=UTC)
_numbers = count(1)


def run_campaign(ledger: Ledger, campaign_id: str, terms: CampaignTerms, *offers: OfferTerms) -> None:
    """A campaign that runs from START on; its offers are called `<campaign>-0`, `<campaign>-1`, …."""
    ledger.write(lambda connection: create_campaign(connection, campaign_id, terms, now=START))
    ledger.write(lambda connection: act_on_campaign(connection, campaign_id, "schedule", now=START))
    for number, offer in enumerate(offers):
        offer_id = f"{campaign_id}-{number}"
        ledger.write(lambda connection, of=offer, one=offer_id: create_offer(  # type: ignore[misc]
            connection, campaign_id, one, of, now=START
        ))  # fmt: skip


def give(ledger: Ledger, offer_id: str, customer_id: str | None, *, now: datetime = START) -> Coupon:
    """A new coupon of the offer."""

    def work(connection):  # type: ignore[no-untyped-def]  # a Connection, which tests of the store alone may name
        offer = find_offer(connection, offer_id)
        campaign = find_campaign(connection, offer.campaign_id)
        return issue(connection, offer, campaign, [customer_id], issued_by="test", now=now)[0]

    coupon: Coupon = ledger.write(work)
    return coupon


def pay(
    ledger: Ledger, coupon: Coupon, amounts_minor: list[int], *, channel: str = "store", now: datetime = START,
    currency: str = "EUR",
) -> str:  # fmt: skip
    """The id of the redemption of an order with lines "0", "1", … of products "p0", "p1", …."""
    lines = tuple(
        BasketLine(str(position), f"p{position}", 1.0, amount) for position, amount in enumerate(amounts_minor)
    )
    situation = Situation(now, coupon.customer_id, channel=channel)
    question = Question(Basket(lines, currency), situation, codes=(coupon.code,))
    number = str(next(_numbers))
    response = redeem(
        ledger, question, Order(number), IdempotentRequest("till", number, number, now), render=redemption_response
    )
    redemption = orjson.loads(response.body)
    assert response.status == 201, redemption
    return str(redemption["redemption_id"])


def return_lines(ledger: Ledger, redemption_id: str, *lines: ReturnedLine, now: datetime) -> None:
    """Rolls the redemption back: these lines, or all when none is named."""
    number = str(next(_numbers))
    request = IdempotentRequest("till", number, number, now)
    assert roll_back(ledger, redemption_id, lines or None, request, render=rollback_response).status == 200
