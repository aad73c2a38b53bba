"""Edges of redemptions, reservations and rollbacks, each on both engines."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import Connection, select, text, update

from app.api.till.responses import redemption_response, reservation_response, rollback_response
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.records import Coupon
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms, Percent
from app.stores.sql.campaigns.campaigns import change_campaign, find_campaign
from app.stores.sql.coupons.issuing import expire_due
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import budget_ledger, campaigns, coupons, redemption_lines
from app.stores.sql.redemption.idempotency import KEEP, IdempotentRequest, StoredResponse, run_idempotent
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.reservations import release
from app.stores.sql.redemption.rollback import ReturnedLine, ReturnExceeds, roll_back
from tests.support.server import wait_until
from tests.support.tills import START, give, run_campaign

CAMPAIGN = CampaignTerms(name="Spring", currency="EUR", budget_minor=10_000)
OFFER = OfferTerms(name="Five off", discount=Amount(type="amount", amount_minor=500))
PERCENT = OfferTerms(name="Ten percent", discount=Percent(type="percent", percent=10), combinable=True)
RESERVED = PERCENT.model_copy(update={"reservation_required": True})
TTL = timedelta(minutes=5)


def question(*given: Coupon, reservation_id: str | None = None, quantity: float = 1.0) -> Question:
    """The coupons' customer with one line of 20.00."""
    basket = Basket((BasketLine("1", "p1", quantity, 2000),), "EUR")
    codes = tuple(coupon.code for coupon in given)
    return Question(basket, Situation(START, "ada"), codes, reservation_id=reservation_id)


def till_request(key: str) -> IdempotentRequest:
    """A till's request."""
    return IdempotentRequest("till", key, f"asks {key}", START)


def held(ledger: Ledger, *given: Coupon, key: str = "hold") -> str:
    """The id of a reservation."""
    answer = reserve(
        ledger, question(*given), order_id=None, ttl=TTL, request=till_request(key), render=reservation_response
    )
    assert answer.status == 201, answer.body
    return str(orjson.loads(answer.body)["reservation_id"])


def paid(ledger: Ledger, query: Question, key: str) -> str:
    """The id of a redemption."""
    answer = redeem(ledger, query, Order(key), till_request(key), render=redemption_response)
    assert answer.status == 201, answer.body
    return str(orjson.loads(answer.body)["redemption_id"])


def test_offer_that_requires_a_reservation_can_be_reserved_and_redeemed(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, RESERVED)
    coupon = give(ledger, "spring-0", "ada")
    refused = redeem(ledger, question(coupon), Order("0"), till_request("without"), render=redemption_response)
    assert orjson.loads(refused.body)["code"] == "reservation_required"
    reservation_id = held(ledger, coupon)
    paid(ledger, question(reservation_id=reservation_id), "with")


def test_reservation_of_another_coupon_is_none_of_this_one(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, RESERVED, PERCENT)
    required, other = give(ledger, "spring-0", "ada"), give(ledger, "spring-1", "ada")
    query = question(required, reservation_id=held(ledger, other))
    responses = orjson.loads(redeem(ledger, query, Order("0"), till_request("pay"), render=redemption_response).body)
    assert [one["coupon_id"] for one in responses["applied"]] == [other.coupon_id]
    assert [one["reason"]["code"] for one in responses["refused"]] == ["reservation_required"]


def test_line_named_twice_in_one_return_is_refused(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, OFFER)
    redemption_id = paid(ledger, question(give(ledger, "spring-0", "ada"), quantity=2), "pay")
    with pytest.raises(ReturnExceeds, match="named twice"):
        roll_back(
            ledger,
            redemption_id,
            [ReturnedLine("1", 2), ReturnedLine("1", 2)],
            till_request("back"),
            render=rollback_response,
        )
    assert ledger.read(lambda connection: find_campaign(connection, "spring")).spent_minor == 500


def test_thirds_of_a_weighed_line_come_back_to_the_last_gram_and_cent(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, OFFER)
    redemption_id = paid(ledger, question(give(ledger, "spring-0", "ada"), quantity=0.3), "pay")
    responses = [
        orjson.loads(
            roll_back(
                ledger, redemption_id, [ReturnedLine("1", 0.1)], till_request(f"back {part}"), render=rollback_response
            ).body
        )
        for part in range(3)
    ]
    assert [one["returned_minor"] for one in responses] == [166, 167, 167]
    assert responses[-1]["status"] == "rolled_back"
    returned = ledger.read(lambda connection: connection.execute(select(redemption_lines.c.returned_quantity)).scalar())
    assert returned == 0.3


def test_code_for_two_that_is_held_once_outlives_its_validity_until_the_reservation_is_over(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, OFFER.model_copy(update={"uses_per_code": 2, "valid_days": 1}))
    coupon = give(ledger, "spring-0", "ada")
    reservation_id = held(ledger, coupon)
    late = START + timedelta(days=3)
    assert expire_due(ledger, now=late) == 0
    ledger.write(lambda connection: release(connection, reservation_id, now=late))
    assert expire_due(ledger, now=late) == 1


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_redemption_of_a_reservation_waits_for_other_coupons_before_it_locks_budgets(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN, PERCENT)
    reserved, other = give(ledger, "spring-0", "ada"), give(ledger, "spring-0", "ada")
    reservation_id = held(ledger, reserved)
    query = replace(question(other), reservation_id=reservation_id)
    with ThreadPoolExecutor(1) as pool:

        def locks_coupon_then_budget(connection: Connection) -> Future[str]:
            _lock_coupon(connection, other.coupon_id)
            paying = pool.submit(paid, ledger, query, "pay")
            wait_until(lambda: waiting_count(ledger) == 1, "the redemption waits")
            connection.execute(text("SET LOCAL lock_timeout = '200ms'"))
            mine = campaigns.c.campaign_id == "spring"
            connection.execute(update(campaigns).where(mine).values(updated_at=START))
            return paying

        with ledger.engine.begin() as connection:
            paying = locks_coupon_then_budget(connection)
        assert paying.result(timeout=20)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_key_that_another_transaction_leaves_outdated_is_claimed_again(ledger: Ledger) -> None:
    late = replace(till_request("key"), now=START + KEEP + TTL)
    with in_flight(ledger, till_request("key")) as finish, ThreadPoolExecutor(1) as pool:
        later = pool.submit(
            run_idempotent, ledger, replace(late, fingerprint="asks another"), lambda _: StoredResponse(201, b"new")
        )
        wait_until(lambda: waiting_count(ledger) == 1, "the second waits for the first")
        finish()
        assert later.result(timeout=20).body == b"new"
    assert run_idempotent(
        ledger, replace(late, fingerprint="asks another"), lambda _: StoredResponse(500, b"")
    ).is_replay


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_last_budget_entered_is_the_budget_that_holds(ledger: Ledger) -> None:
    run_campaign(ledger, "spring", CAMPAIGN)
    higher = CAMPAIGN.model_copy(update={"budget_minor": 20_000})

    def change(terms: CampaignTerms) -> Callable[[Connection], object]:
        return lambda connection: change_campaign(connection, "spring", terms, revision=None, now=START)

    with ledger.engine.begin() as connection, ThreadPoolExecutor(1) as pool:
        change(higher)(connection)
        later = pool.submit(ledger.write, change(CAMPAIGN))
        wait_until(lambda: waiting_count(ledger) == 1, "the second waits for the first")
        connection.commit()
        assert later.exception(timeout=20) is not None
    amounts = select(budget_ledger.c.amount_minor).order_by(budget_ledger.c.entry_id.desc()).limit(1)
    entered = ledger.read(lambda connection: connection.execute(amounts).scalar())
    assert entered == ledger.read(lambda connection: find_campaign(connection, "spring")).terms.budget_minor


@contextmanager
def in_flight(ledger: Ledger, of: IdempotentRequest) -> Iterator[Callable[[], None]]:
    """A request whose transaction stays open until the function is called."""
    started, finish = threading.Event(), threading.Event()

    def work(_: Connection) -> StoredResponse:
        started.set()
        assert finish.wait(20)
        return StoredResponse(201, b"old")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_idempotent, ledger, of, work)
        assert started.wait(20)
        try:
            yield finish.set
        finally:
            finish.set()
            running.result(timeout=20)


def waiting_count(ledger: Ledger) -> int:
    """How many transactions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return int(ledger.read(lambda connection: connection.execute(text(query)).scalar_one()))


def _lock_coupon(connection: Connection, coupon_id: str) -> None:
    connection.execute(update(coupons).where(coupons.c.coupon_id == coupon_id).values(holds=coupons.c.holds))
