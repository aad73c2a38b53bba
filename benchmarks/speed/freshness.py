"""How soon an accepted event shows in a decision, and that sending it again changes nothing.

    python -m benchmarks.speed.freshness --data-dir var

Each event is sent, and the moment its 202 is in, the same customer asks. Time runs until the first answer whose trace
names the event. Then the event is sent twice more, and the same question must get the same answer.
"""

import argparse
import http.client
import random
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import orjson

from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.full_path import quantiles_ms
from benchmarks.support import machine
from benchmarks.support.questions import Known, an_event, known_customers
from benchmarks.support.servers import SERVE_ENDCAP, post_json, python_server

REPEATS = 2
MAX_ASKED = 100
EVENT_TYPES = ("view_item", "add_to_cart", "purchase")


@dataclass(slots=True)
class FreshnessCounts:
    """What all events showed."""

    visible_s: list[float] = field(default_factory=list)
    in_first_decision: int = 0
    never_visible: list[object] = field(default_factory=list)
    repeats_not_called_duplicate: int = 0
    answers_changed_by_repeats: int = 0


def follow(
    connection: http.client.HTTPConnection, known: Known, event: dict[str, object], found: FreshnessCounts
) -> None:
    """One event: sent, looked for, sent again."""
    status, sent = _send(connection, event)
    accepted = perf_counter()
    assert status == "accepted", sent
    for decision_number in range(1, MAX_ASKED + 1):
        answer = _ask(connection, known)
        if _trace(answer)["last_event_id"] == event["id"]:
            found.visible_s.append(perf_counter() - accepted)
            found.in_first_decision += decision_number == 1
            break
    else:
        found.never_visible.append(event["id"])
    before = _body(_ask(connection, known, at=event["time"]))
    statuses = [_send(connection, event)[0] for _ in range(REPEATS)]
    found.repeats_not_called_duplicate += sum(status != "duplicate" for status in statuses)
    found.answers_changed_by_repeats += before != _body(_ask(connection, known, at=event["time"]))


def _send(connection: http.client.HTTPConnection, event: dict[str, object]) -> tuple[str, object]:
    status, answer = post_json(connection, "/v1/events", {"events": [event]})
    assert status == 202, answer
    (row,) = _rows(answer)
    return str(row["status"]), row


def _rows(answer: dict[str, object]) -> list[dict[str, object]]:
    rows = answer["results"]
    assert isinstance(rows, list)
    return rows


def _ask(connection: http.client.HTTPConnection, known: Known, *, at: object = None) -> dict[str, object]:
    context = {"channel": "app", "store_id": known.store_id} | ({"now": at} if at is not None else {})
    body = {"customer_id": known.customer_id, "placement": "app_home", "explain": True, "context": context}
    status, answer = post_json(connection, "/v1/decisions", body)
    assert status == 200, answer
    return answer


def _trace(answer: dict[str, object]) -> dict[str, object]:
    trace = answer["trace"]
    assert isinstance(trace, dict)
    return trace


def _body(answer: dict[str, object]) -> bytes:
    """All of an answer but its own id, as bytes."""
    return orjson.dumps({name: value for name, value in answer.items() if name != "decision_id"})


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--events", type=int, default=2000)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    chance, customers, found = random.Random(), known_customers(settings), FreshnessCounts()
    with redis_for(settings) as redis_url:
        environment = {"ENDCAP_REDIS_URL": redis_url, "ENDCAP_DATA_DIR": str(given.data_dir)}
        with python_server(SERVE_ENDCAP, environment) as server:
            connection = server.connection()
            for _ in range(given.events):
                known = chance.choice(customers)
                follow(connection, known, an_event(known, chance, event_type=chance.choice(EVENT_TYPES)), found)
            connection.close()
    machine.show(
        {
            "benchmark": "freshness",
            **machine.facts(),
            "events": given.events,
            "accepted_to_visible_ms": quantiles_ms(found.visible_s),
            "in_first_decision": found.in_first_decision,
            "never_visible": len(found.never_visible),
            "repeats_sent": REPEATS * given.events,
            "repeats_not_called_duplicate": found.repeats_not_called_duplicate,
            "answers_changed_by_repeats": found.answers_changed_by_repeats,
        }
    )


if __name__ == "__main__":
    main()
