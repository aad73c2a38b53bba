"""How soon a product that is sold out is gone from every process: one at a time, next to all other load."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from threading import Event
from time import monotonic

from benchmarks.places.flips import report
from benchmarks.places.shop import PROBE, probe_question
from benchmarks.places.truth import Cell, Truth
from benchmarks.support.servers import Server, post_json

PAUSE_S = 0.2
"""At most so long between two probes, at random, so that they meet a follower at every moment of its turn."""
PATIENCE_S = 30.0


@dataclass(slots=True)
class Probed:
    """From the acceptance of a change to the last process that knows it, in seconds."""

    gone_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def probe_until(stop: Event, servers: Sequence[Server], truth: Truth, product_ids: Sequence[str], seen: Probed) -> None:
    """Brings one product after the other, and sells it out, once every process shows it."""
    chance = random.Random(0)
    with ExitStack() as stack:
        connections = [server.connection() for server in servers]
        for connection in connections:
            stack.callback(connection.close)
        try:
            while not stop.wait(chance.uniform(0, PAUSE_S)):
                cell = PROBE, chance.choice(product_ids)
                sender = chance.choice(connections)
                report(sender, truth, {cell: {"available": 3}})
                seen.back_s.append(_until(connections, cell, is_there=True))
                stop.wait(chance.uniform(0, PAUSE_S))
                report(sender, truth, {cell: {"available": 0} if chance.random() < 0.5 else {"change": -3}})
                seen.gone_s.append(_until(connections, cell, is_there=False))
        except RuntimeError as error:
            seen.problems.append(str(error))


def _until(connections: Sequence[HTTPConnection], cell: Cell, *, is_there: bool) -> float:
    """Seconds until every process shows the product, or none any more; raises RuntimeError where one never does."""
    accepted_at = monotonic()
    for connection in connections:
        while _shows(connection, cell) != is_there:
            if monotonic() - accepted_at > PATIENCE_S:
                raise RuntimeError(f"{cell} did not change in an answer within {PATIENCE_S:.0f} s")
    return monotonic() - accepted_at


def _shows(connection: HTTPConnection, cell: Cell) -> bool:
    """True where the product is shown, as itself or as that of a coupon."""
    status, answer = post_json(connection, "/v1/decisions", probe_question())
    propositions = answer["propositions"] if status == 200 else None
    if not isinstance(propositions, list):
        raise RuntimeError(f"no answer: {status} {answer}")
    return any(one["product_id"] == cell[1] for one in propositions)
