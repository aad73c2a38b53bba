"""The load of a race: many more orders than a campaign can pay, sent at once from several processes.

Every order is its own, most customers are. Clients grow impatient and send an order again under its key while the first
attempt is still running, or send it to another process as well.
"""

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.synchronize import Barrier

import orjson
from sqlalchemy import true

from app.stores.sql.redemption import claims
from benchmarks.support.tills import Till, TillOrder, till_at

PROCESS_COUNT = 3
CLIENT_COUNT = 8
"""Orders that one process works on at a time."""
IMPATIENT_RATIO = 0.3
PATIENCE_S = 0.02
"""The longest that an impatient client waits before it sends its order again."""
ELSEWHERE_RATIO = 0.15
"""Orders that go to two processes."""
GUARDS = ("has_use_left", "is_below", "has_budget_for")
"""Where app.stores.sql.redemption.claims states its conditions: without them a ledger must overspend."""


@dataclass(frozen=True, slots=True)
class Response:
    """What one attempt was answered: `step` is "redeem" or "reserve", `body` a SHA-256, `code` a refusal's reason."""

    key: str
    step: str
    status: int
    body: str
    code: str | None


class LoadGenerator:
    """Processes that begin together; spawned, as servers are."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._processes = ProcessPoolExecutor(
            PROCESS_COUNT, mp_context=spawn, initializer=_join_barrier, initargs=(spawn.Barrier(PROCESS_COUNT),)
        )

    def __enter__(self) -> "LoadGenerator":
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.shutdown()

    def run(
        self, addresses: Sequence[str], orders: Sequence[TillOrder], *, seed: int, without_guards: bool = False
    ) -> list[Response]:
        """Every answer that any attempt got, at a ledger's address or at those of servers."""
        chance = random.Random(seed)
        shares: list[list[TillOrder]] = [[] for _ in range(PROCESS_COUNT)]
        for order in chance.sample(orders, len(orders)):
            here, elsewhere = chance.sample(range(PROCESS_COUNT), 2)
            shares[here].append(order)
            if chance.random() < ELSEWHERE_RATIO:
                shares[elsewhere].append(order)
        # Each waits at the barrier, so that none gets two shares.
        running = [
            self._processes.submit(run_share, addresses, share, seed=seed, without_guards=without_guards)
            for share in shares
        ]
        return [responses for share in running for responses in share.result()]


def _join_barrier(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


_barrier: Barrier


def run_share(
    addresses: Sequence[str], orders: Sequence[TillOrder], *, seed: int, without_guards: bool
) -> list[Response]:
    """In one process: the answers to its part of the orders."""
    chance = random.Random(seed)
    patience = [chance.uniform(0.001, PATIENCE_S) if chance.random() < IMPATIENT_RATIO else None for _ in orders]
    till = till_at(addresses)
    try:
        with (
            no_guards() if without_guards else nullcontext(),
            # More threads than clients: an attempt that its client has given up on goes on.
            ThreadPoolExecutor(2 * CLIENT_COUNT) as attempts,
            ThreadPoolExecutor(CLIENT_COUNT) as clients,
        ):
            _barrier.wait()
            answers = clients.map(lambda order, patience_s: _place(till, attempts, order, patience_s), orders, patience)
            return [responses for one in answers for responses in one]
    finally:
        till.close()


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


def _place(till: Till, attempts: ThreadPoolExecutor, order: TillOrder, patience_s: float | None) -> list[Response]:
    """The answers of all attempts of one order; who is impatient makes a second one during or after the first."""
    running: list[Future[list[Response]]] = [attempts.submit(_attempt, till, order, patience_s)]
    if patience_s is not None:
        wait_for(running, timeout=patience_s)
        running.append(attempts.submit(_attempt, till, order, None))
    return [responses for attempt in running for responses in attempt.result()]


def _attempt(till: Till, order: TillOrder, patience_s: float | None) -> list[Response]:
    """What one attempt was answered before its client hung up."""
    responses: list[Response] = []
    try:
        reservation_id = None
        if order.reserves:
            status, body = till.reserve(order, patience_s=patience_s)
            responses.append(_response(order, "reserve", status, body))
            if status != 201 or not order.pays:
                return responses
            reservation_id = orjson.loads(body)["reservation_id"]
        status, body = till.redeem(order, reservation_id=reservation_id, patience_s=patience_s)
        responses.append(_response(order, "redeem", status, body))
    except TimeoutError:
        pass
    return responses


def _response(order: TillOrder, step: str, status: int, body: bytes) -> Response:
    code = None if status == 201 else orjson.loads(body)["code"]
    return Response(order.key, step, status, sha256(body).hexdigest(), code)
