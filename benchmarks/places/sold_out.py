"""Whether an answer shows what has been sold out for longer than a second, while stock flips under load.

    python -m benchmarks.places.sold_out --data-dir var
    python -m benchmarks.places.sold_out --data-dir var --decisions 2000 --frozen

Two API processes on a copy of the data directory answer questions for products, and for products and coupons; stock
changes 500 times a second through POST /v1/events. Each proposition of each answer is compared with what was true in
the second before the answer came in, by plain dictionaries that know nothing of the product's code. With --frozen no
process follows the changes: then answers must be found wrong, or this benchmark would prove nothing. Exits with 1 when
it came out otherwise.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import NamedTuple

import orjson

from benchmarks.chaos.stalls import watched_machine
from benchmarks.full_path import quantiles_ms
from benchmarks.places.flips import flipping
from benchmarks.places.probe import Probed, probe_until
from benchmarks.places.processes import FOLLOWS_EVERY_S, NEVER_S, Process, copied, processes
from benchmarks.places.shop import PROBE, Question, Shop, open_shop, questions
from benchmarks.places.truth import Shown, Truth
from benchmarks.support import machine
from benchmarks.support.servers import Server, post

ASKERS = 4
PRODUCT_COUNT = 1_000
PROBE_PRODUCTS = 3
SETTLED_S = 10.0


class Extent(NamedTuple):
    """A run ends after so many decisions, and not before this instant of time.monotonic."""

    decisions: int
    until: float


@dataclass(slots=True)
class Comparison:
    """What one thread's answers showed; `gone_s`: of what was shown although it was gone, for how long."""

    answers: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    wrong_options: int = 0
    wrong_and_flagged: int = 0
    flagged: int = 0
    gone_s: list[float] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def note(self, question: Question, body: bytes, truth: Truth, *, at: float) -> None:
        """Compares one answer that came in `at`."""
        answer = orjson.loads(body)
        self.answers["both_kinds" if question.has_coupons else "products"] += 1
        self.answers["empty"] += not answer["propositions"]
        self.flagged += "stock_stale" in answer["degraded"]
        for one in truth.shown(answer, welcome=question.welcome, at=at):
            self._note(one)

    def _note(self, one: Shown) -> None:
        self.shown[one.kind] += 1
        self.wrong_options += len(one.wrong_options)
        if one.gone_s > 0:
            self.gone_s.append(one.gone_s)
        if one.is_wrong:
            self.wrong[one.kind] += 1
            self.wrong_and_flagged += one.is_flagged
            self.examples.append(f"{one.kind} {one.product_id}: {one.options}")


def sold_out(
    data_dir: Path,
    *,
    decisions: int,
    per_s: float,
    product_count: int = PRODUCT_COUNT,
    is_frozen: bool = False,
    at_least_s: float = 0.0,
) -> dict[str, object]:
    """The figures of one run; `wrong` counts the propositions that had been gone for longer than a second.

    It goes on after so many `decisions` until it has lasted `at_least_s`.
    """
    follows_every_s = NEVER_S if is_frozen else FOLLOWS_EVERY_S
    with copied(data_dir) as (settings, redis_url):
        shop = open_shop(settings, redis_url, product_count=product_count, seed=0)
        with processes(settings, redis_url, follows_every_s=follows_every_s) as running:
            extent = Extent(decisions, monotonic() + at_least_s)
            return _measured(running, shop, extent=extent, per_s=per_s, is_frozen=is_frozen)


def _measured(
    running: Sequence[Process], shop: Shop, *, extent: Extent, per_s: float, is_frozen: bool
) -> dict[str, object]:
    truth, servers, begun = shop.truth(), [process.server for process in running], monotonic()
    cells = [cell for cell in shop.stock if cell[0] != PROBE]
    random.Random(0).shuffle(cells)
    compared = [Comparison() for _ in range(ASKERS)]
    with (
        watched_machine() as stalls,
        flipping(servers, truth, cells, per_s=per_s) as flips,
        probing([] if is_frozen else servers, truth, shop) as probed,
    ):
        askers = [
            Thread(target=_ask, args=(servers[number % len(servers)], shop, truth, number, extent, compared[number]))
            for number in range(ASKERS)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        seconds = monotonic() - begun
        accepted_count = flips.accepted_count
    problems = [*flips.problems, *probed.problems]
    return {
        "decisions": sum(sum(one.answers.values()) - one.answers["empty"] for one in compared),
        "seconds": round(seconds, 1),
        "changes": accepted_count,
        "changes_per_s": round(accepted_count / seconds),
        "changes_sent_again": flips.repeated_count,
        **summary(compared),
        "accepted_to_gone_ms": _quantiles_ms(probed.gone_s),
        "accepted_to_back_ms": _quantiles_ms(probed.back_s),
        "tables_equal_the_truth": [] if is_frozen else _settled(running, truth),
        "stalls": stalls.facts(),
        "problems": problems,
    }


def summary(compared: Sequence[Comparison]) -> dict[str, object]:
    """What all threads saw."""
    answers, shown, wrong = (
        sum((getattr(one, name) for one in compared), Counter[str]()) for name in ("answers", "shown", "wrong")
    )
    gone_s = [gone_s for one in compared for gone_s in one.gone_s]
    return {
        "answers": dict(answers),
        "propositions": dict(shown),
        "wrong": dict(wrong),
        "wrong_options": sum(one.wrong_options for one in compared),
        "wrong_and_flagged": sum(one.wrong_and_flagged for one in compared),
        "answers_flagged_stale": sum(one.flagged for one in compared),
        "shown_though_gone": len(gone_s),
        "shown_though_gone_ms": _quantiles_ms(gone_s),
        "decision_ms": _quantiles_ms([taken_s for one in compared for taken_s in one.taken_s]),
        "examples": [example for one in compared for example in one.examples][:5],
    }


@contextmanager
def probing(servers: Sequence[Server], truth: Truth, shop: Shop) -> Iterator[Probed]:
    """Probes run next to the block; without servers there are none."""
    probed, stop = Probed(), Event()
    products = shop.product_ids[:PROBE_PRODUCTS]
    thread = Thread(target=probe_until, args=(stop, servers, truth, products, probed))
    if servers:
        thread.start()
    try:
        yield probed
    finally:
        stop.set()
        if servers:
            thread.join()


def _ask(server: Server, shop: Shop, truth: Truth, number: int, extent: Extent, compared: Comparison) -> None:
    """One connection's part of the decisions, one after the other."""
    connection = server.connection()
    for place, question in islice(enumerate(questions(shop, number)), number, None, ASKERS):
        if place >= extent.decisions and monotonic() >= extent.until:
            break
        sent_at = monotonic()
        try:
            status, body = post(connection, "/v1/decisions", question.body)
        except (OSError, HTTPException) as error:
            status, body = 0, str(error).encode()
        received_at = monotonic()
        if status != 200:
            compared.answers["none"] += 1
            compared.examples.append(f"{status} {body[:200]!r}")
            connection.close()
            continue
        compared.taken_s.append(received_at - sent_at)
        compared.note(question, body, truth, at=received_at)
    connection.close()


def _settled(running: Sequence[Process], truth: Truth) -> list[bool]:
    """Of each process whether its tables equal the truth once the changes have ended."""
    expected, deadline = truth.digest(), monotonic() + SETTLED_S
    while True:
        found = [process.seen()[0] == expected for process in running]
        if all(found) or monotonic() > deadline:
            return found
        sleep(0.05)


def _quantiles_ms(taken_s: list[float]) -> dict[str, object]:
    finite_s = [one for one in taken_s if one < float("inf")]
    return {"count": len(taken_s), **(quantiles_ms(finite_s) if len(finite_s) > 1 else {})}


def broken(found: dict[str, object], *, is_frozen: bool) -> bool:
    """True where a run came out other than it must."""
    if found["problems"]:
        return True
    if is_frozen:
        return not found["wrong"]
    return bool(found["wrong"] or found["wrong_options"] or found["tables_equal_the_truth"] != [True, True])


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--per-second", type=float, default=500.0, help="changes of stock")
    parser.add_argument("--frozen", action="store_true", help="no process follows the changes")
    given = parser.parse_args()
    facts = machine.facts()
    found = sold_out(given.data_dir, decisions=given.decisions, per_s=given.per_second, is_frozen=given.frozen)
    machine.show({"benchmark": "sold_out", **facts, "frozen": given.frozen, **machine.load(), **found})
    sys.exit(broken(found, is_frozen=given.frozen))


if __name__ == "__main__":
    main()
