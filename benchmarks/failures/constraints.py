"""What races are about: campaigns that can pay exactly so many of the orders, and the audit of how a race ended."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, literal, select

from app.offers.terms.codes import new_id
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.terms import Amount, CampaignTerms, Limit, OfferTerms
from app.stores.sql.campaigns.campaigns import act_on_campaign, create_campaign, create_offer
from app.stores.sql.coupons.issuing import issue
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import (
    budget_ledger,
    campaigns,
    counters,
    coupons,
    redemption_lines,
    redemptions,
    uses,
)
from benchmarks.failures.workload import LoadGenerator, Response
from benchmarks.support.tills import TillOrder

DISCOUNT_MINOR = 101
"""Odd on purpose: over three lines it must be shared out to the cent."""
ORDERS_PER_WINNER = 50
CHECK_EVERY_S = 0.002
DIRECTIONS = {"hold": ("held", 1), "release": ("held", -1), "spend": ("spent", 1), "return": ("spent", -1)}


@dataclass(frozen=True, slots=True)
class Constraint:
    """What keeps a campaign from paying more: its budget, a limit of that scope, or how often one code may be used.

    `one_code`: all orders use a public code instead of each customer's own coupon. `reserving_ratio` of the orders are
    reserved first, and every other one of those is never paid for.
    """

    refusal: ReasonCode
    has_budget: bool = False
    limit: Literal["code", "customer", "campaign"] | None = None
    one_code: bool = False
    counts_uses: bool = False
    one_customer: bool = False
    reserving_ratio: float = 0.0


CONSTRAINTS = {
    "budget": Constraint(ReasonCode.BUDGET_EXHAUSTED, has_budget=True),
    "budget, one code": Constraint(ReasonCode.BUDGET_EXHAUSTED, has_budget=True, one_code=True),
    "budget, reserved": Constraint(ReasonCode.BUDGET_EXHAUSTED, has_budget=True, reserving_ratio=0.7),
    "campaign limit": Constraint(ReasonCode.CAMPAIGN_LIMIT_REACHED, limit="campaign"),
    "customer limit": Constraint(ReasonCode.CUSTOMER_LIMIT_REACHED, limit="customer", one_code=True, one_customer=True),
    "code limit": Constraint(ReasonCode.CODE_LIMIT_REACHED, limit="code", one_code=True),
    "uses of a code": Constraint(ReasonCode.CODE_LIMIT_REACHED, one_code=True, counts_uses=True),
}


@dataclass(frozen=True, slots=True)
class RaceSetup:
    """A campaign in the ledger with the orders that will run for it."""

    campaign_id: str
    constraint: Constraint
    winner_count: int
    orders: tuple[TillOrder, ...]


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How many orders won and how many attempts there were; `faults` is empty when the ledger is consistent."""

    winner_count: int
    order_count: int
    attempt_count: int
    faults: tuple[str, ...]


def race(
    ledger: Ledger, load: LoadGenerator, constraint: Constraint, *, winner_count: int, seed: int, now: datetime,
    without_guards: bool = False, servers: Sequence[str] = (), meanwhile: Callable[[], object] = list,
) -> RaceResult:  # fmt: skip
    """Prepares a campaign, runs all orders against it, and audits: while they run, and in the end.

    The orders go to `servers` on this ledger, without any to the ledger itself. `meanwhile` is done again and again.
    """
    setup = prepare_race(ledger, constraint, winner_count=winner_count, seed=seed, now=now)
    addresses = servers or [ledger.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")]
    with watched(ledger, setup.campaign_id, meanwhile) as seen_faults:
        responses = load.run(addresses, setup.orders, seed=seed, without_guards=without_guards)
    winners = {one.key for one in responses if one.status == 201}
    faults = [
        *_faults_in_answers(setup, responses),
        *ledger.read(lambda one: list(_faults_in_ledger(one, setup, responses))),
    ]
    return RaceResult(len(winners), len(setup.orders), len(responses), (*faults, *sorted(set(seen_faults))))


def prepare_race(ledger: Ledger, constraint: Constraint, *, winner_count: int, seed: int, now: datetime) -> RaceSetup:
    """A running campaign of its own that can pay `winner_count` orders, and fifty times as many orders."""
    chance = random.Random(seed)
    count = ORDERS_PER_WINNER * winner_count
    customers = ["one"] * count if constraint.one_customer else [f"customer-{number}" for number in range(count)]
    spare_minor = chance.randrange(DISCOUNT_MINOR)
    terms = CampaignTerms(
        name=f"race {seed}",
        currency="EUR",
        budget_minor=winner_count * DISCOUNT_MINOR + spare_minor if constraint.has_budget else None,
        limits=() if constraint.limit is None else (Limit(scope=constraint.limit, count=winner_count),),
    )
    uses_per_code = winner_count if constraint.counts_uses else None if constraint.one_code else 1
    promise = OfferTerms(
        name="off", discount=Amount(type="amount", amount_minor=DISCOUNT_MINOR), uses_per_code=uses_per_code
    )

    def prepare(connection: Connection) -> tuple[str, list[str]]:
        campaign = create_campaign(connection, None, terms, now=now)
        campaign = act_on_campaign(connection, campaign.campaign_id, "schedule", now=now)
        offer = create_offer(connection, campaign.campaign_id, None, promise, now=now)
        recipients: Sequence[str | None] = [None] if constraint.one_code else customers
        issued = issue(connection, offer, campaign, recipients, issued_by="audience", now=now)
        return campaign.campaign_id, [coupon.code for coupon in issued]

    campaign_id, codes = ledger.write(prepare)
    run = new_id("run")
    orders = tuple(
        TillOrder(
            f"{run}-{number}",
            customer,
            codes[number % len(codes)],
            chance.random() < constraint.reserving_ratio,
            bool(number % 2),
        )
        for number, customer in enumerate(customers)
    )
    return RaceSetup(campaign_id, constraint, winner_count, orders)


@contextmanager
def watched(ledger: Ledger, campaign_id: str, meanwhile: Callable[[], object]) -> Iterator[list[str]]:
    """What was wrong in any check of the campaign while the block ran; between two checks `meanwhile` is done."""
    seen_faults: list[str] = []
    is_over = Event()

    def look() -> None:
        while not is_over.wait(CHECK_EVERY_S):
            meanwhile()
            seen_faults.extend(ledger.read(lambda connection: list(_faults_in_money(connection, campaign_id))))

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield seen_faults
    finally:
        is_over.set()
        watcher.join()


def _faults_in_answers(setup: RaceSetup, responses: Sequence[Response]) -> Iterator[str]:
    first_step = {order.key: "reserve" if order.reserves else "redeem" for order in setup.orders}
    answers: dict[tuple[str, str], set[tuple[int, str]]] = defaultdict(set)
    for one in responses:
        answers[one.key, one.step].add((one.status, one.body))
        if one.status == 409 and (one.code != setup.constraint.refusal or one.step != first_step[one.key]):
            yield f"{one.step} was refused for {one.code}"
        if one.status not in (201, 409):
            yield f"{one.step} was answered {one.status}"
    contradictory = sum(len(bodies) > 1 for bodies in answers.values())
    if contradictory:
        yield f"{contradictory} orders got two different answers"
    unanswered = len(first_step.items() - answers.keys())
    if unanswered:
        yield f"{unanswered} orders were not answered"
    won = sum(one[0] == 201 for key, step in first_step.items() for one in answers[key, step])
    if won != setup.winner_count:
        yield f"{won} orders won, not {setup.winner_count}"


def _faults_in_ledger(connection: Connection, setup: RaceSetup, responses: Sequence[Response]) -> Iterator[str]:
    held_or_paid = setup.winner_count
    paid = len({one.key for one in responses if one.step == "redeem" and one.status == 201})
    of_campaign = uses.c.campaign_id == setup.campaign_id
    of_redemption = redemptions.c.redemption_id.in_(select(uses.c.redemption_id).where(of_campaign))
    of_use = redemption_lines.c.use_id.in_(select(uses.c.use_id).where(of_campaign))
    money = connection.execute(
        select(campaigns.c.spent_minor, campaigns.c.held_minor).where(campaigns.c.campaign_id == setup.campaign_id)
    ).one()
    found = {
        "spent": (money.spent_minor, paid * DISCOUNT_MINOR),
        "held": (money.held_minor, (held_or_paid - paid) * DISCOUNT_MINOR),
        "open uses": (_sum(connection, literal(1), of_campaign & uses.c.is_open), held_or_paid),
        "their cost": (
            _sum(connection, uses.c.cost_minor, of_campaign & uses.c.is_open),
            held_or_paid * DISCOUNT_MINOR,
        ),
        "redemptions": (_sum(connection, literal(1), of_redemption), paid),
        "their discount": (_sum(connection, redemptions.c.discount_minor, of_redemption), paid * DISCOUNT_MINOR),
        "their lines": (_sum(connection, redemption_lines.c.discount_minor, of_use), paid * DISCOUNT_MINOR),
        "coupons' counts": (
            _sum(connection, coupons.c.uses + coupons.c.holds, coupons.c.campaign_id == setup.campaign_id),
            held_or_paid,
        ),
    }
    if setup.constraint.limit is not None:
        counted = _sum(connection, counters.c.used, counters.c.campaign_id == setup.campaign_id)
        found["counters"] = (counted, held_or_paid)
    for what, (seen, right) in found.items():
        if seen != right:
            yield f"{what}: {seen}, not {right}"
    yield from _faults_in_money(connection, setup.campaign_id)


def _faults_in_money(connection: Connection, campaign_id: str) -> Iterator[str]:
    """Spent and held are within the budget and what the entries add up to, in one snapshot."""
    campaign = connection.execute(select(campaigns).where(campaigns.c.campaign_id == campaign_id)).mappings().one()
    table = budget_ledger.c
    query = (
        select(table.kind, func.sum(table.amount_minor)).where(table.campaign_id == campaign_id).group_by(table.kind)
    )
    entered = {"held": 0, "spent": 0}
    for kind, amount_minor in connection.execute(query):
        if kind in DIRECTIONS:
            name, sign = DIRECTIONS[kind]
            entered[name] += sign * int(amount_minor)
    if (campaign["spent_minor"], campaign["held_minor"]) != (entered["spent"], entered["held"]):
        yield "the entries do not add up to what the campaign has spent and holds"
    if (
        campaign["budget_minor"] is not None
        and campaign["spent_minor"] + campaign["held_minor"] > campaign["budget_minor"]
    ):
        yield "spent and held are more than the budget"


def _sum(connection: Connection, what: ColumnElement[Any], condition: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.coalesce(func.sum(what), 0)).where(condition)).scalar_one())
