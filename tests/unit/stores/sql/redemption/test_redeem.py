"""Redemptions return a result; what the caller renders of it is stored with the key, and sent again as it was."""

from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem
from app.stores.sql.redemption.results import Redeemed, Refused
from tests.support.tills import START, give, run_campaign

CAMPAIGN = CampaignTerms(name="Spring", currency="EUR", budget_minor=1000)
FIVE_OFF = OfferTerms(name="Five off", discount=Amount(type="amount", amount_minor=500))


class Rendering:
    """Keeps the results that it rendered."""

    def __init__(self) -> None:
        self.results: list[Redeemed | Refused] = []

    def __call__(self, result: Redeemed | Refused) -> StoredResponse:
        self.results.append(result)
        return StoredResponse(299, b"rendered by the caller")


def response_to(ledger: Ledger, code: str, render: Rendering) -> StoredResponse:
    """The response to a redemption of this code on a basket of 20.00, always under the same key."""
    question = Question(Basket((BasketLine("1", "p1", 1.0, 2000),), "EUR"), Situation(START, "ada"), (code,))
    request = IdempotentRequest("till", "key", "fingerprint", START)
    return redeem(ledger, question, Order("order"), request, render=render)


def test_rendered_result_is_stored_and_sent_again_without_another_redemption(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, FIVE_OFF)
    code, render = give(ledger, "spring-0", "ada").code, Rendering()
    first, again = (response_to(ledger, code, render) for _ in range(2))
    assert (first.status, first.body, first.is_replay) == (299, b"rendered by the caller", False)
    assert (again.status, again.body, again.is_replay) == (299, b"rendered by the caller", True)
    (result,) = render.results
    assert isinstance(result, Redeemed)
    assert (result.order_id, result.redeemed_at, result.quote.discount_minor) == ("order", START, 500)
    assert result.stale_subjects == ("campaign:spring", "customer:ada")


def test_refusal_has_the_code_of_its_only_reason_and_is_stored_too(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, FIVE_OFF)
    code, render = give(ledger, "spring-0", "bob").code, Rendering()
    assert [response_to(ledger, code, render).is_replay for _ in range(2)] == [False, True]
    (result,) = render.results
    assert isinstance(result, Refused)
    assert (result.code, result.detail) == ("coupon_not_found", "no such coupon; check the code")
