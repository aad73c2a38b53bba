"""What a reservation holds for whoever made it, whatever happens meanwhile."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from app.api.till.responses import redemption_response, reservation_response
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
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
