"""Bounded traffic on a running service from several connections, every answer noted with its time."""

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import orjson

from benchmarks.support.questions import Known, mixed_traffic
from benchmarks.support.servers import Server, post

UNKNOWN_FLAGS = frozenset({"features_stale", "features_missing", "overload"})
"""What an answer says when Redis did not: any other flag has nothing to do with the store."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what came back; instants on the monotonic clock, status 0 when nothing came back."""

    path: str
    sent_at: float
    answered_at: float
    status: int
    degraded: frozenset[str] = frozenset()
    model_version: str | None = None
    event_status: str | None = None

    @property
    def taken_s(self) -> float:
        """From sending to the whole answer."""
        return self.answered_at - self.sent_at

    @property
    def is_decision(self) -> bool:
        """True for a question, false for events."""
        return self.path == "/v1/decisions"

    @property
    def lacks_store(self) -> bool:
        """True when the answer says that it was made without Redis."""
        return bool(self.degraded & UNKNOWN_FLAGS)


@dataclass(slots=True)
class Traffic:
    """Answers so far, in no particular order; reading while it runs is safe."""

    answers: list[Answer] = field(default_factory=list)

    def between(self, start_at: float, end_at: float) -> list[Answer]:
        """Answers to what was sent and answered within these instants, in the order of sending."""
        within = [
            answer for answer in list(self.answers) if start_at <= answer.sent_at and answer.answered_at <= end_at
        ]
        return sorted(within, key=lambda answer: answer.sent_at)


@contextmanager
def traffic(
    server: Server, customers: Sequence[Known], *, per_s: float, connection_count: int = 6
) -> Iterator[Traffic]:
    """Mixed requests at a steady rate while the block runs; a slow answer delays its own connection only."""
    seen, stop = Traffic(), threading.Event()
    interval_s = connection_count / per_s
    threads = [
        threading.Thread(target=_send_until, args=(stop, server, mixed_traffic(customers, seed), interval_s, seen))
        for seed in range(connection_count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _send_until(
    stop: threading.Event, server: Server, bodies: Iterator[tuple[str, bytes]], interval_s: float, seen: Traffic
) -> None:
    connection = server.connection()
    next_at = monotonic()
    while not stop.wait(max(next_at - monotonic(), 0)):
        next_at = max(next_at + interval_s, monotonic())
        path, body = next(bodies)
        sent_at = monotonic()
        try:
            status, answer = post(connection, path, body)
        except (OSError, http.client.HTTPException):
            seen.answers.append(Answer(path, sent_at, monotonic(), 0))
            connection.close()
            continue
        seen.answers.append(_noted(path, sent_at, monotonic(), status, answer))
    connection.close()


def _noted(path: str, sent_at: float, answered_at: float, status: int, answer: bytes) -> Answer:
    body = orjson.loads(answer)
    rows = body.get("results") or [{}]
    return Answer(
        path,
        sent_at,
        answered_at,
        status,
        degraded=frozenset(body.get("degraded", ())),
        model_version=body.get("model_version"),
        event_status=rows[0].get("status"),
    )
