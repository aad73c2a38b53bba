"""A stampede: many more orders than a campaign can pay, sent at once from several processes.

Every order is its own, most customers are. Clients grow impatient and send an order again under its key while the first
attempt is still running, or send it to another process as well.
"""

import multiprocessing
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from multiprocessing.synchronize import Barrier

import orjson
from sqlalchemy import true

from app.errors import StoreUnavailable
from app.offers.basket import Basket, BasketLine, Situation
from app.stores.ledger import claims
from app.stores.ledger.engine import Ledger, open_ledger
from app.stores.ledger.idempotency import Answer, Once
from app.stores.ledger.quote import Question
from app.stores.ledger.redeem import Order, redeem, reserve

PROCESS_COUNT = 3
CLIENT_COUNT = 8
"""Orders that one process works on at a time."""
IMPATIENT_RATIO = 0.3
PATIENCE_S = 0.02
"""The longest that an impatient client waits before it sends its order again."""
ELSEWHERE_RATIO = 0.15
"""Orders that go to two processes."""
ATTEMPT_COUNT = 5
GUARDS = ("has_use_left", "is_below", "has_budget_for")
"""Where app.stores.ledger.claims states its conditions: without them a ledger must overspend."""
BASKET = Basket(
    tuple(BasketLine(f"line-{minor}", f"product-{minor}", 1.0, minor) for minor in (333, 667, 1001)), currency="EUR"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One order: who pays it with which code. One that `reserves` holds the coupon first, and pays when it `pays`."""

    key: str
    customer_id: str
    code: str
    reserves: bool = False
    pays: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """What one attempt was answered: `step` is "redeem" or "reserve", `body` a SHA-256, `code` a refusal's reason."""

    key: str
    step: str
    status: int
    body: str
    code: str | None


class Crowd:
    """Processes that begin together; spawned, as servers are."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._processes = ProcessPoolExecutor(
            PROCESS_COUNT, mp_context=spawn, initializer=_stand_behind, initargs=(spawn.Barrier(PROCESS_COUNT),)
        )

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.shutdown()

    def storm(self, url: str, asks: Sequence[Ask], *, seed: int, without_guards: bool = False) -> list[Told]:
        """Every answer that any attempt got at the ledger's URL."""
        chance = random.Random(seed)
        shares: list[list[Ask]] = [[] for _ in range(PROCESS_COUNT)]
        for ask in chance.sample(asks, len(asks)):
            here, elsewhere = chance.sample(range(PROCESS_COUNT), 2)
            shares[here].append(ask)
            if chance.random() < ELSEWHERE_RATIO:
                shares[elsewhere].append(ask)
        # Each waits at the barrier, so that none gets two shares.
        running = [self._processes.submit(run_share, url, share, seed, without_guards) for share in shares]
        return [told for share in running for told in share.result()]


def _stand_behind(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


_barrier: Barrier


def run_share(url: str, asks: Sequence[Ask], seed: int, without_guards: bool) -> list[Told]:
    """In one process: the answers to its part of the orders."""
    chance = random.Random(seed)
    patience = [chance.uniform(0, PATIENCE_S) if chance.random() < IMPATIENT_RATIO else None for _ in asks]
    ledger = open_ledger(url)
    try:
        with (
            no_guards() if without_guards else nullcontext(),
            # More threads than clients: an attempt that its client has given up on goes on.
            ThreadPoolExecutor(2 * CLIENT_COUNT) as attempts,
            ThreadPoolExecutor(CLIENT_COUNT) as clients,
        ):
            _barrier.wait()
            answers = clients.map(lambda ask, patience_s: _place(ledger, attempts, ask, patience_s), asks, patience)
            return [told for one in answers for told in one]
    finally:
        ledger.close()


@contextmanager
def no_guards() -> Iterator[None]:
    """Claims without their conditions: what a test of races must notice."""
    kept = {name: getattr(claims, name) for name in GUARDS}
    try:
        for name in GUARDS:
            setattr(claims, name, lambda *_: true())
        yield
    finally:
        for name, guard in kept.items():
            setattr(claims, name, guard)


def _place(ledger: Ledger, attempts: ThreadPoolExecutor, ask: Ask, patience_s: float | None) -> list[Told]:
    """The answers of all attempts of one order; who is impatient makes a second one beside the first."""
    running: list[Future[list[Told]]] = [attempts.submit(_attempt, ledger, ask)]
    if patience_s is not None:
        wait_for(running, timeout=patience_s)
        running.append(attempts.submit(_attempt, ledger, ask))
    return [told for attempt in running for told in attempt.result()]


def _attempt(ledger: Ledger, ask: Ask) -> list[Told]:
    now = datetime.now(UTC)
    situation = Situation(now, ask.customer_id, channel="store")
    question = Question(BASKET, situation, (ask.code,))
    if not ask.reserves:
        return [_told(ask, "redeem", _insist(lambda: redeem(ledger, question, Order(ask.key), _once(ask, "redeem"))))]
    held = _insist(lambda: reserve(
        ledger, question, order_id=ask.key, ttl=timedelta(hours=1), once=_once(ask, "reserve")
    ))  # fmt: skip
    told = [_told(ask, "reserve", held)]
    if held.status == 201 and ask.pays:
        paid_for = Question(BASKET, situation, reservation_id=orjson.loads(held.body)["reservation_id"])
        paid = _insist(lambda: redeem(ledger, paid_for, Order(ask.key), _once(ask, "redeem")))
        told.append(_told(ask, "redeem", paid))
    return told


def _insist(send: Callable[[], Answer]) -> Answer:
    """The answer, asked for again under the same key while the ledger is too busy to give one."""
    for _ in range(ATTEMPT_COUNT - 1):
        try:
            return send()
        except StoreUnavailable:
            continue
    return send()


def _once(ask: Ask, step: str) -> Once:
    asked = sha256(f"{step} {ask}".encode()).hexdigest()
    return Once("till", f"{step}-{ask.key}", asked, datetime.now(UTC))


def _told(ask: Ask, step: str, answer: Answer) -> Told:
    code = None if answer.status == 201 else orjson.loads(answer.body)["code"]
    return Told(ask.key, step, answer.status, sha256(answer.body).hexdigest(), code)
