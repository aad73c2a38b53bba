"""Wallets and budgets in Redis are those of the ledger, whoever writes them, whenever, and in which order."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from app.api.till.responses import redemption_response, reservation_response
from app.domain import Wallet, WalletCoupon
from app.errors import BadTransition, StoreUnavailable
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.records import Coupon
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.redis.keys import REMAINING, RedisKeys, worker_client
from app.stores.redis.projections import SETTLE, Projections, wallets
from app.stores.redis.wallets import MADE, pack_wallet, unpack_wallet
from app.stores.sql.campaigns.campaigns import act_on_campaign
from app.stores.sql.campaigns.memberships import set_tier
from app.stores.sql.coupons.audience_issuing import activate, add_audience
from app.stores.sql.coupons.issuing import expire_due
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from app.stores.sql.database.tables import projection_queue
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from tests.support.tills import START, give, pay, return_lines, run_campaign

KEYS = RedisKeys(4)
LATER = START + timedelta(hours=1)
FIVE = OfferTerms(name="five off", discount=Amount(type="amount", amount_minor=500))
TERMS = CampaignTerms(name="k", currency="EUR", budget_minor=1200)
PEOPLE = ["ann", "bob", "cid"]
Made = tuple[dict[str, Wallet | None], dict[str, int] | None]


@pytest.fixture
def client(valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def projections(ledger: Ledger, valkey: str) -> Iterator[Projections]:
    made = Projections(ledger, worker_client(valkey), KEYS)
    yield made
    made.close()


def in_redis(client: Any, customer_id: str) -> Wallet | None:
    remaining = client.hgetall(REMAINING)
    return unpack_wallet(client.get(KEYS.wallet(customer_id)), [part for pair in remaining.items() for part in pair])


def codes(wallet: Wallet | None) -> list[str]:
    assert wallet is not None
    return sorted(coupon.code for coupon in wallet.coupons)


def queued(ledger: Ledger) -> int:
    return int(ledger.read(lambda c: c.execute(select(func.count()).select_from(projection_queue)).scalar_one()))


def test_packed_wallet_is_the_wallet() -> None:
    coupons = [WalletCoupon("c1", "CODE", "o1", None, 5.5), WalletCoupon("c2", "EDOC", "o2", 1.0, None)]
    wallet = Wallet(coupons, "gold", frozenset({"o3"}), 2, 7)
    found = unpack_wallet(pack_wallet(wallet), [MADE, b"1", b"k", b"-3"])
    assert found is not None
    assert found == Wallet(coupons, "gold", frozenset({"o3"}), 2, 7, {"k": -3})
    assert isinstance(found.coupons[0], WalletCoupon)
    assert unpack_wallet(pack_wallet(wallet), [b"k", b"1"]) is None
    assert unpack_wallet(None, [MADE, b"1"]) == Wallet(())


def test_wallet_holds_open_coupons_tier_and_counts(ledger: Ledger, projections: Projections, client: Any) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    used, kept = give(ledger, "k-0", "ann"), give(ledger, "k-0", "ann")
    give(ledger, "k-0", "bob")
    taken = OfferTerms.model_validate(FIVE.model_dump() | {"issue": {"by": "decision"}})
    run_campaign(ledger, "free", CampaignTerms(name="free", currency="EUR"), taken)
    mine = ledger.write(lambda connection: activate(connection, "free-0", "ann", now=START))
    ledger.write(lambda connection: add_audience(connection, "k", ["ann"], now=START))
    ledger.write(lambda connection: set_tier(connection, "ann", "gold", now=START))
    pay(ledger, used, [2000])
    assert projections.rebuild() == 2
    wallet = in_redis(client, "ann")
    assert wallet is not None
    assert codes(wallet) == sorted([kept.code, mine.code])
    assert (wallet.tier, wallet.activated) == ("gold", frozenset({"free-0"}))
    assert (wallet.redeemed_count, wallet.campaign_count) == (1, 1)
    assert wallet.remaining_minor == {"k": 700}


def test_redemption_that_was_rolled_back_is_no_habit(ledger: Ledger, projections: Projections, client: Any) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    for coupon in (give(ledger, "k-0", "ann"), give(ledger, "k-0", "ann")):
        redemption_id = pay(ledger, coupon, [2000])
    return_lines(ledger, redemption_id, now=START)
    projections.rebuild()
    wallet = in_redis(client, "ann")
    assert wallet is not None
    assert wallet.redeemed_count == 1


def hold(ledger: Ledger, coupon: Coupon) -> None:
    """Reserves the coupon for an order of 20.00 EUR."""
    basket = Basket((BasketLine("1", "p1", 1.0, 2000),), "EUR")
    question = Question(basket, Situation(START, coupon.customer_id), codes=(coupon.code,))
    request = IdempotentRequest("till", "hold", "f", START)
    reserve(ledger, question, order_id="1", ttl=timedelta(hours=1), request=request, render=reservation_response)


def test_reserved_coupon_and_its_money_are_out_of_sight(ledger: Ledger, projections: Projections, client: Any) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    coupon = give(ledger, "k-0", "ann")
    hold(ledger, coupon)
    projections.rebuild()
    wallet = in_redis(client, "ann")
    assert wallet is not None
    assert (codes(wallet), wallet.remaining_minor) == ([], {"k": 700})


def test_coupon_of_two_uses_is_open_until_both_are_taken_and_an_expired_one_is_not(
    ledger: Ledger, projections: Projections, client: Any
) -> None:
    ending = FIVE.model_copy(update={"valid_until": LATER})
    run_campaign(ledger, "k", TERMS, FIVE.model_copy(update={"uses_per_code": 2}), ending)
    twice = give(ledger, "k-0", "ann")
    give(ledger, "k-1", "ann")
    pay(ledger, twice, [2000])
    expire_due(ledger, now=LATER + SETTLE)
    projections.rebuild()
    assert codes(in_redis(client, "ann")) == [twice.code]
    hold(ledger, twice)
    projections.rebuild()
    assert codes(in_redis(client, "ann")) == []


def test_first_sweep_after_redis_lost_all_makes_everything_again(
    ledger: Ledger, projections: Projections, client: Any
) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    coupon = give(ledger, "k-0", "ann")
    assert in_redis(client, "ann") is None
    assert projections.sweep(now=START) == 1
    assert codes(in_redis(client, "ann")) == [coupon.code]
    client.flushdb()
    # One refresh alone does not make the others known.
    assert projections.refresh(["customer:bob", "campaign:k"])
    assert in_redis(client, "bob") is None
    projections.sweep(now=START)
    assert codes(in_redis(client, "ann")) == [coupon.code]


def test_rebuild_tells_its_progress_and_drops_budgets_of_ended_campaigns(
    ledger: Ledger, projections: Projections, client: Any
) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    for who in PEOPLE:
        give(ledger, "k-0", who)
    projections.rebuild()
    ledger.write(lambda connection: act_on_campaign(connection, "k", "end", now=START))
    seen: list[tuple[int, int]] = []
    assert projections.rebuild(progress=lambda done, total: seen.append((done, total))) == 3
    assert seen == [(3, 3)]
    assert client.hgetall(REMAINING) == {MADE: b"1"}


def test_writer_that_comes_late_with_an_old_wallet_is_healed_by_the_sweep(
    ledger: Ledger, projections: Projections, client: Any
) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    coupon = give(ledger, "k-0", "ann")
    projections.rebuild()
    old = client.get(KEYS.wallet("ann"))
    pay(ledger, coupon, [2000], now=LATER)
    projections.refresh(["customer:ann", "campaign:k"])
    assert codes(in_redis(client, "ann")) == []
    client.set(KEYS.wallet("ann"), old)
    client.hset(REMAINING, "k", 1200)
    # What is not settled yet waits.
    projections.sweep(now=LATER)
    assert codes(in_redis(client, "ann")) == [coupon.code]
    projections.sweep(now=LATER + SETTLE)
    assert codes(in_redis(client, "ann")) == []
    assert client.hget(REMAINING, "k") == b"700"
    assert queued(ledger) == 0


def test_what_is_queued_again_while_the_sweep_works_stays_queued(
    ledger: Ledger, valkey: str, projections: Projections
) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    give(ledger, "k-0", "ann")
    projections.rebuild()
    inner = worker_client(valkey)

    class Interrupted(Projections):
        def _copy(self, subjects: object) -> None:
            ledger.write(lambda connection: set_tier(connection, "ann", "gold", now=LATER))
            super()._copy(subjects)  # type: ignore[arg-type]

    Interrupted(ledger, inner, KEYS).sweep(now=START + SETTLE)
    inner.close()
    assert queued(ledger) == 1


def test_two_writers_and_a_sweep_end_with_the_truth(ledger: Ledger, valkey: str, client: Any) -> None:
    run_campaign(ledger, "k", TERMS.model_copy(update={"budget_minor": None}), FIVE)
    coupons = [give(ledger, "k-0", who) for who in PEOPLE for _ in range(6)]
    makers = [Projections(ledger, worker_client(valkey), KEYS) for _ in range(2)]
    makers[0].rebuild()

    def use(maker: Projections, share: int) -> None:
        for coupon in coupons[share::2]:
            pay(ledger, coupon, [2000], now=LATER)
            maker.refresh([f"customer:{coupon.customer_id}", "campaign:k"])

    threads = [Thread(target=use, args=(maker, share)) for share, maker in enumerate(makers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    makers[0].sweep(now=LATER + SETTLE)
    assert [codes(in_redis(client, who)) for who in PEOPLE] == [[], [], []]
    for maker in makers:
        maker.close()


def test_redis_that_is_away_costs_a_refresh_and_raises_in_a_sweep(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    away = Projections(ledger, worker_client("redis://127.0.0.1:1/0", timeout_s=0.2), KEYS)
    assert not away.refresh(["customer:ann"])
    assert "projections not made" in caplog.text
    with pytest.raises(StoreUnavailable):
        away.sweep(now=START)
    with pytest.raises(StoreUnavailable):
        away.rebuild()
    away.close()


def test_old_wallet_shows_a_used_coupon_but_redeems_nothing(
    ledger: Ledger, projections: Projections, client: Any
) -> None:
    run_campaign(ledger, "k", TERMS, FIVE)
    coupon = give(ledger, "k-0", "ann")
    projections.rebuild()
    pay(ledger, coupon, [2000])
    assert codes(in_redis(client, "ann")) == [coupon.code]
    question = Question(
        Basket((BasketLine("1", "p1", 1.0, 2000),), "EUR"),
        Situation(START, "ann", channel="store"),
        codes=(coupon.code,),
    )
    answer = redeem(
        ledger,
        question,
        Order("again"),
        IdempotentRequest("till", "another-key", "f", START),
        render=redemption_response,
    )
    assert answer.status == 409
    assert b"already_redeemed" in answer.body or b"code_limit_reached" in answer.body


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "pay", "back", "tier", "pause", "resume", "sweep", "lose", "audience"]),
        st.integers(0, 2),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_step_by_step_is_the_same_as_all_at_once(
    steps: list[tuple[str, int]], valkey: str, client: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client.flushdb()
    ledger = open_ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    upgrade(ledger)
    run_campaign(ledger, "k", TERMS.model_copy(update={"budget_minor": 100_000}), FIVE)
    projections = Projections(ledger, worker_client(valkey), KEYS)
    projections.sweep(now=START)
    _walk(ledger, projections, client, steps)
    projections.sweep(now=LATER + timedelta(days=1))
    step_by_step = _everything(client)
    client.flushdb()
    projections.rebuild()
    assert step_by_step == _everything(client)
    truth = ledger.read(lambda connection: wallets(connection, PEOPLE))
    assert {who: codes(wallet) for who, wallet in step_by_step[0].items()} == {
        who: codes(truth[who]) for who in step_by_step[0]
    }
    projections.close()
    ledger.close()


def _walk(ledger: Ledger, projections: Projections, client: Any, steps: list[tuple[str, int]]) -> None:
    given_out: list[Coupon] = []
    paid: list[str] = []
    now = LATER
    write: dict[str, Callable[[Connection, str, datetime], object]] = {
        "tier": lambda c, who, at: set_tier(c, who, f"tier-{len(given_out)}", now=at),
        "audience": lambda c, who, at: add_audience(c, "k", [who], now=at),
        "pause": lambda c, _, at: act_on_campaign(c, "k", "pause", now=at),
        "resume": lambda c, _, at: act_on_campaign(c, "k", "resume", now=at),
    }
    for step, number in steps:
        now += timedelta(seconds=2)
        who = PEOPLE[number]
        # A paused campaign can neither be paused nor pay.
        with suppress(BadTransition, AssertionError):
            if step == "give":
                given_out.append(give(ledger, "k-0", who, now=now))
            elif step == "pay" and given_out:
                paid.append(pay(ledger, given_out.pop(number % len(given_out)), [2000], now=now))
            elif step == "back" and paid:
                return_lines(ledger, paid.pop(), now=now)
            elif step == "sweep":
                projections.sweep(now=now)
            elif step == "lose":
                client.flushdb()
            elif step in write:
                ledger.write(lambda c, step=step, who=who, at=now: write[step](c, who, at))  # type: ignore[misc]


def _everything(client: Any) -> Made:
    made = {who: in_redis(client, who) for who in PEOPLE if client.exists(KEYS.wallet(who))}
    left = {name.decode(): int(minor) for name, minor in client.hgetall(REMAINING).items()}
    return made, left
