"""What a server process says that stood still while stock changed, and how soon it is right again.

    python -m benchmarks.places.frozen --data-dir var

One of two API processes is stopped (SIGSTOP) for 30 s, while 20,000 changes of stock go through the other one, and
questions wait at its door. Once it runs again, every answer must say `stock_stale` until its tables equal the truth,
within 2 s. Exits with 1 when it came out otherwise.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import orjson

from benchmarks.places.flips import a_change, report
from benchmarks.places.processes import Process, copied, processes
from benchmarks.places.shop import PROBE, Question, Shop, open_shop, questions
from benchmarks.places.truth import Cell, Truth
from benchmarks.support import machine
from benchmarks.support.postgres import frozen
from benchmarks.support.servers import Server, post

CHANGES, SECONDS = 20_000, 30.0
BATCH = 200
WAITING = 8
"""Connections that each have a question under way when the process wakes up."""
RIGHT_AFTER_S = 2.0
AFTERWARDS_S = 5.0
"""So long after waking it is looked at."""
LOOK_S = 0.01
AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the process that stood still; instants on the monotonic clock."""

    sent_at: float
    received_at: float
    is_flagged: bool
    wrong: int


@dataclass(frozen=True, slots=True)
class Look:
    """The tables of that process at one instant: whether they equal the truth, and pass for fresh."""

    begun_at: float
    ended_at: float
    is_right: bool
    staleness_s: float


@dataclass(slots=True)
class Seen:
    """All answers, when which status was one instead, and all looks."""

    answers: list[Answer] = field(default_factory=list)
    refused: list[tuple[float, int]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


def stood_still(
    data_dir: Path, *, changes: int, seconds: float, product_count: int = 4_000, afterwards_s: float = AFTERWARDS_S
) -> dict[str, object]:
    """The figures of one run."""
    with copied(data_dir) as (settings, redis_url):
        shop = open_shop(settings, redis_url, product_count=product_count, seed=0)
        with processes(settings, redis_url) as running:
            return _measured(running, shop, changes=changes, seconds=seconds, afterwards_s=afterwards_s)


def _measured(
    running: Sequence[Process], shop: Shop, *, changes: int, seconds: float, afterwards_s: float
) -> dict[str, object]:
    awake, asleep = running
    truth, seen, stop = shop.truth(), Seen(), Event()
    askers = [Thread(target=_ask_until, args=(stop, asleep.server, shop, truth, seed, seen)) for seed in range(WAITING)]
    with frozen(asleep.server.pid):
        stopped_at = monotonic()
        for asker in askers:
            asker.start()
        _change(awake.server, truth, shop, changes)
        changed_s = monotonic() - stopped_at
        sleep(max(0.0, seconds - changed_s))
        expected = truth.digest()
        woken_at = monotonic()
    _look_until(woken_at + afterwards_s, asleep, expected, seen)
    stop.set()
    for asker in askers:
        asker.join()
    return {
        "stood_still_s": round(woken_at - stopped_at, 1),
        "changes": changes,
        "changes_took_s": round(changed_s, 1),
        "other_process_is_right": awake.seen()[0] == expected,
        **summary(seen, woken_at=woken_at),
    }


def summary(seen: Seen, *, woken_at: float) -> dict[str, object]:
    """What the process said after waking, and when it was right."""
    answers = sorted(seen.answers, key=lambda one: one.received_at)
    right_at = next((look.ended_at for look in seen.looks if look.is_right), None)
    unflagged = [one for one in answers if not one.is_flagged]
    # Tables may get right at any moment of the look that found them so.
    before = [look for look in seen.looks if not look.is_right]
    wrong_until = max((look.begun_at for look in before), default=woken_at)
    return {
        "answers": len(answers),
        "refused": dict(Counter(str(status) for _, status in seen.refused)),
        "last_refused_s": _after(max((at for at, _ in seen.refused), default=None), woken_at),
        "waited_for_waking": sum(one.sent_at < woken_at for one in answers),
        "first_answer_s": _after(min((one.received_at for one in answers), default=None), woken_at),
        "right_after_s": _after(right_at, woken_at),
        "first_answer_without_flag_s": _after(min((one.received_at for one in unflagged), default=None), woken_at),
        "flagged": len(answers) - len(unflagged),
        "flagged_and_wrong": sum(one.wrong > 0 for one in answers if one.is_flagged),
        "wrong_without_flag": sum(one.wrong > 0 for one in unflagged),
        "without_flag_while_tables_were_wrong": sum(one.received_at < wrong_until for one in unflagged),
        "tables_wrong_but_fresh": sum(look.staleness_s <= 1.0 for look in before),
        "looks": len(seen.looks),
    }


def _after(at: float | None, woken_at: float) -> float | None:
    return None if at is None else round(at - woken_at, 3)


def _change(server: Server, truth: Truth, shop: Shop, count: int) -> None:
    """So many changes, all cells in turn."""
    chance, connection = random.Random(0), server.connection()
    cells: list[Cell] = [cell for cell in shop.stock if cell[0] != PROBE]
    chance.shuffle(cells)
    for start in range(0, count, BATCH):
        chosen = [cells[number % len(cells)] for number in range(start, min(start + BATCH, count))]
        report(connection, truth, {cell: a_change(cell, truth, chance) for cell in chosen})
    connection.close()


def _ask_until(stop: Event, server: Server, shop: Shop, truth: Truth, seed: int, seen: Seen) -> None:
    """One question after the other; the first one waits until the process runs."""
    connection = server.connection()
    connection.timeout = 120
    for question in islice(questions(shop, seed), 1_000_000):
        sent_at = monotonic()
        status, body = post(connection, "/v1/decisions", question.body)
        received_at = monotonic()
        if status == 200:
            seen.answers.append(_answer(question, body, truth, sent_at=sent_at, received_at=received_at))
        else:
            # What has waited for long is refused, and to be sent again.
            seen.refused.append((received_at, status))
        if stop.wait(0 if status == 200 else AGAIN_S):
            break
    connection.close()


def _answer(question: Question, body: bytes, truth: Truth, *, sent_at: float, received_at: float) -> Answer:
    answer = orjson.loads(body)
    wrong = sum(one.is_wrong for one in truth.shown(answer, welcome=question.welcome, at=received_at))
    return Answer(sent_at, received_at, "stock_stale" in answer["degraded"], wrong)


def _look_until(until: float, process: Process, expected: str, seen: Seen) -> None:
    while monotonic() < until:
        begun_at = monotonic()
        found, staleness_s = process.seen()
        seen.looks.append(Look(begun_at, monotonic(), found == expected, staleness_s))
        sleep(LOOK_S)


def broken(found: dict[str, object]) -> bool:
    """True where a promise did not hold."""
    right_after_s = found["right_after_s"]
    assert right_after_s is None or isinstance(right_after_s, float)
    promises = ("wrong_without_flag", "without_flag_while_tables_were_wrong", "tables_wrong_but_fresh")
    is_late = right_after_s is None or right_after_s > RIGHT_AFTER_S
    return is_late or not found["other_process_is_right"] or any(found[name] for name in promises)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--changes", type=int, default=CHANGES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    facts = machine.facts()
    found = stood_still(given.data_dir, changes=given.changes, seconds=given.seconds)
    machine.show({"benchmark": "frozen", **facts, **machine.load(), **found})
    sys.exit(broken(found))


if __name__ == "__main__":
    main()
