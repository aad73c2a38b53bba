"""What a reservation holds for whoever made it, whatever happens meanwhile."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from app.api.till.responses import redemption_response, reservation_response
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.terms import Amount, CampaignTerms, Limit, OfferTerms
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.reservations import ReservationOfOther
from tests.support.tills import START, give, run_campaign

EUROS = CampaignTerms(name="Spring", currency="EUR")
LINES = (BasketLine("1", "p1", 1.0, 2000),)


def five_off(**fields: Any) -> OfferTerms:
    return OfferTerms.model_validate(
        {"name": "Five off", "discount": Amount(type="amount", amount_minor=500), "uses_per_code": None} | fields
    )


def request_of(client: str, what: str, now: datetime) -> IdempotentRequest:
    return IdempotentRequest(client, what, what, now)


def held(
    ledger: Ledger, code: str, *, now: datetime = START, customer: str | None = None, order_id: str | None = None
) -> str:
    """The id of a reservation that the client "till" makes for an hour."""
    question = Question(Basket(LINES, "EUR"), Situation(now, customer), (code,))
    send = request_of("till", f"hold {code} {now}", now)
    response = reserve(ledger, question, send, order_id=order_id, ttl=timedelta(hours=1), render=reservation_response)
    assert response.status == 201, response.body
    return str(orjson.loads(response.body)["reservation_id"])


def paid(
    ledger: Ledger, reservation_id: str, *, now: datetime = START, customer: str | None = None, client: str = "till",
    codes: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    """The answer to a redemption of the reservation by this client."""
    question = Question(Basket(LINES, "EUR"), Situation(now, customer), codes, reservation_id=reservation_id)
    send = request_of(client, f"pay {reservation_id}", now)
    document: dict[str, Any] = orjson.loads(
        redeem(ledger, question, Order("order"), send, render=redemption_response).body
    )
    return document


def test_reservation_without_an_order_is_kept_to_the_client_that_made_it(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", EUROS, five_off())
    code = give(ledger, "spring-0", "ada").code
    reservation_id = held(ledger, code, customer="ada")
    with pytest.raises(ReservationOfOther, match="order_id"):
        paid(ledger, reservation_id, customer="ada", client="another till")
    assert paid(ledger, reservation_id, customer="ada")["discount_minor"] == 500


def test_reservation_for_an_order_is_redeemed_by_any_client_that_knows_the_order(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", EUROS, five_off())
    code = give(ledger, "spring-0", "ada").code
    reservation_id = held(ledger, code, customer="ada", order_id="order")
    assert paid(ledger, reservation_id, customer="ada", client="another till")["discount_minor"] == 500


HAPPY_HOUR = {"type": "time", "time_zone": "UTC", "start": "16:00", "end": "18:00"}
JUST_BEFORE = START.replace(hour=17, minute=59)


def test_reservation_made_in_the_happy_hour_is_good_after_it(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", EUROS, five_off(condition=HAPPY_HOUR))
    code = give(ledger, "spring-0", "ada").code
    reservation_id = held(ledger, code, now=JUST_BEFORE, customer="ada")
    assert paid(ledger, reservation_id, now=JUST_BEFORE + timedelta(minutes=2), customer="ada")["discount_minor"] == 500


def test_reservation_counts_in_the_day_that_it_was_made_on(ledger: Ledger) -> None:
    daily = EUROS.model_copy(update={"limits": (Limit(scope="customer", count=1, period="day"),)})
    run_campaign(ledger, "spring", daily, five_off())
    code, midnight = give(ledger, "spring-0", "ada").code, START + timedelta(days=1)
    reservation_id = held(ledger, code, now=midnight - timedelta(minutes=1), customer="ada")
    of_today = held(ledger, code, now=midnight, customer="ada")
    assert paid(ledger, reservation_id, now=midnight, customer="ada")["discount_minor"] == 500
    assert paid(ledger, of_today, now=midnight, customer="ada")["discount_minor"] == 500
    assert ledger.read(reconcile) == []


def test_another_code_shares_the_limit_with_what_is_reserved(ledger: Ledger) -> None:
    once = EUROS.model_copy(update={"limits": (Limit(scope="campaign", count=1),)})
    run_campaign(ledger, "spring", once, five_off(combinable=True), five_off(combinable=True))
    codes = [give(ledger, f"spring-{number}", "ada").code for number in range(2)]
    document = paid(ledger, held(ledger, codes[0], customer="ada"), customer="ada", codes=(codes[1],))
    assert document["discount_minor"] == 500
    assert [one["reason"]["code"] for one in document["refused"]] == ["campaign_limit_reached"]
    assert ledger.read(reconcile) == []
