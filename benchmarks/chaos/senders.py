"""Clients who do what the documents ask of them: they try again, and keep what has no answer.

Whoever cannot connect, or is cut off, tries once more. A till and a sender of events try three times; what has no
answer then they keep, and send later, one after the other, under the same key.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import uuid4

import orjson

from benchmarks.chaos.answers import Answers, Decision, Result, Write
from benchmarks.chaos.connections import Connections
from benchmarks.chaos.shop import Body, Shop, event_of, order_of, question_about, wallet_question
from benchmarks.support.questions import full_questions

EVENT_RATIO, FOLLOWED_RATIO, ORDER_RATIO, WALLET_RATIO = 0.15, 0.1, 0.15, 0.2
"""Of all requests; the others are questions of known customers. A followed event is one with a question behind it."""
REPEATED_ORDER_RATIO = 0.2
PAUSES_S = (0.2, 1.0)
KEPT_PAUSE_S = 1.0
ACCEPTED = ("accepted", "duplicate")

Shows = Callable[[dict[str, Any]], bool | None]
"""Whether an answer shows what the store held when it was sent; None where it cannot say."""


@dataclass(slots=True)
class Senders:
    """All clients of one shop; what they keep for later is sent by `forward_orders` and `forward_events`."""

    shop: Shop
    connections: Connections
    answers: Answers = field(default_factory=Answers)
    kept_orders: deque[tuple[str, bytes]] = field(default_factory=deque)
    kept_events: deque[Body] = field(default_factory=deque)

    async def one(self, chance: random.Random, due_at: float) -> None:
        """One request with all that follows from it."""
        draw = chance.random() - EVENT_RATIO
        if draw < 0:
            await self._event(chance, due_at)
        elif (draw := draw - FOLLOWED_RATIO) < 0:
            await self._followed_event(chance, due_at)
        elif (draw := draw - ORDER_RATIO) < 0:
            await self._order(chance, due_at)
        elif draw < WALLET_RATIO:
            body = orjson.dumps(wallet_question(chance.choice(self.shop.owners)))
            await self._decide(body, due_at, lambda answer: bool(answer["propositions"]))
        else:
            (body,) = full_questions([chance.choice(self.shop.customers)], 1)
            await self._decide(body, due_at)

    async def _decide(self, body: bytes, due_at: float, shows: Shows | None = None) -> None:
        status, answer = await self.connections.post("/v1/decisions", body, {})
        was_cut_off = not status
        if was_cut_off:
            status, answer = await self.connections.post("/v1/decisions", body, {})
        found = orjson.loads(answer) if status == 200 else {}
        if status != 200:
            self.answers.reasons[_reason("decision", status, answer)] += 1
        self.answers.decisions.append(
            Decision(
                due_at, monotonic(), status,
                was_repeated=was_cut_off,
                flags=frozenset(found.get("degraded", ())),
                is_fresh=None if shows is None or not found else shows(found),
            )
        )  # fmt: skip

    async def _event(self, chance: random.Random, due_at: float) -> str | None:
        """The id when it was accepted at once."""
        product_id = chance.choice(chance.choice(self.shop.customers).product_ids)
        event = event_of(f"visitor-{uuid4().hex}", product_id)
        return event["id"] if await self._send_new(event, due_at) else None  # type: ignore[return-value]

    async def _followed_event(self, chance: random.Random, due_at: float) -> None:
        product_id = chance.choice(chance.choice(self.shop.customers).product_ids)
        event = event_of(f"visitor-{uuid4().hex}", product_id)
        if await self._send_new(event, due_at):
            body = orjson.dumps(question_about(str(event["anonymous_id"])))
            await self._decide(body, monotonic(), lambda answer: _shows(answer, event))

    async def _send_new(self, event: Body, due_at: float) -> bool:
        """Whether the event was accepted at the first attempt; later ones follow by themselves."""
        answers, event_id = self.answers, str(event["id"])
        answers.sent.add(event_id)
        answers.waiting.add(event_id)
        waiting = await self._send_events([event])
        result: Result = "kept" if waiting else "done" if event_id in answers.accepted else "refused"
        answers.events.append(Write(due_at, monotonic(), result))
        for pause_s in PAUSES_S:
            if not waiting:
                return result == "done"
            await asyncio.sleep(pause_s)
            waiting = await self._send_events(waiting)
        self.kept_events.extend(waiting)
        return False

    async def _send_events(self, events: list[Body]) -> list[Body]:
        """Those that are to be sent again."""
        answers = self.answers
        status, answer = await self.connections.post("/v1/events", orjson.dumps({"events": events}), {})
        if status != 202:
            answers.reasons[_reason("events", status, answer)] += 1
            return events
        again = []
        for event, row in zip(events, orjson.loads(answer)["results"], strict=True):
            if row["status"] in ACCEPTED:
                answers.accepted.add(str(event["id"]))
                answers.waiting.discard(str(event["id"]))
                continue
            answers.reasons[f"event {row['code']}"] += 1
            if row["code"] == "store_unavailable":
                again.append(event)
            else:
                answers.waiting.discard(str(event["id"]))
        return again

    async def _order(self, chance: random.Random, due_at: float) -> None:
        key = uuid4().hex
        body = order_of(self.shop, chance, key=key)
        self.answers.waiting.add(key)
        is_done = await self._redeem(key, body)
        is_refused = is_done and key not in self.answers.redeemed
        result: Result = "refused" if is_refused else "done" if is_done else "kept"
        self.answers.orders.append(Write(due_at, monotonic(), result))
        for pause_s in PAUSES_S:
            if is_done:
                break
            await asyncio.sleep(pause_s)
            is_done = await self._redeem(key, body)
        if not is_done:
            self.kept_orders.append((key, body))
        elif chance.random() < REPEATED_ORDER_RATIO:
            await self._redeem(key, body)

    async def _redeem(self, key: str, body: bytes) -> bool:
        """Whether the ledger has answered; what it answers the same key must never change."""
        answers = self.answers
        status, answer = await self.connections.post("/v1/redemptions", body, {"Idempotency-Key": key})
        if status == 201:
            if answers.redeemed.setdefault(key, answer) != answer:
                answers.contradictions.append(f"order {key} got two different answers")
            answers.waiting.discard(key)
            return True
        reason = _reason("order", status, answer)
        answers.reasons[reason] += 1
        if status in (0, 408, 429, 503) or reason.endswith("request_in_flight"):
            return False
        answers.contradictions.append(f"an order was refused: {reason}")
        answers.waiting.discard(key)
        return True

    async def forward_orders(self) -> None:
        """Sends kept orders, one after the other, without end."""
        while True:
            if not self.kept_orders:
                await asyncio.sleep(KEPT_PAUSE_S)
                continue
            if await self._redeem(*self.kept_orders[0]):
                self.kept_orders.popleft()
            else:
                await asyncio.sleep(KEPT_PAUSE_S)

    async def forward_events(self) -> None:
        """Sends kept events, some at a time, without end."""
        while True:
            kept = [self.kept_events.popleft() for _ in range(min(50, len(self.kept_events)))]
            waiting = await self._send_events(kept) if kept else []
            self.kept_events.extendleft(reversed(waiting))
            if waiting or not kept:
                await asyncio.sleep(KEPT_PAUSE_S)


def _shows(answer: dict[str, Any], event: Body) -> bool | None:
    """Whether the event is known; None for an answer from a clock for which it has not happened yet."""
    if datetime.fromisoformat(answer["expires_at"]) < datetime.fromisoformat(str(event["time"])):
        return None
    return bool(answer["trace"]["last_event_id"] == event["id"])


def _reason(what: str, status: int, answer: bytes) -> str:
    if not status:
        return f"{what} {answer.decode()}"
    try:
        return f"{what} {status} {orjson.loads(answer)['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{what} {status}"
