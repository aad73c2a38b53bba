"""Limits of guesses and requests hold for all API processes together, however many calls come at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import httpx
import pytest

from app.domain import Scope
from app.offers.terms.codes import new_code
from app.settings import Settings
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from tests.support.running import endcap_serve

CALLS = 200
LIMIT = 10
RATE = 10
LINES = [{"line_id": "1", "product_id": "p1", "quantity": 1, "amount_minor": 2000}]
Ask = Callable[[httpx.AsyncClient, int], Awaitable[int]]
"""One call, which is given its number."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Two API processes on one ledger and one Valkey, and two keys: one without a rate, one with RATE."""

    addresses: Sequence[str]
    keys: tuple[str, str]

    def gather(self, key: str, ask: Ask, calls: int) -> list[int]:
        """What so many calls return that are made at once, by turns at each process."""

        async def all_at_once() -> list[int]:
            async with AsyncExitStack() as stack:
                limits, headers = httpx.Limits(max_connections=calls), {"Authorization": f"Bearer {key}"}
                clients = [
                    await stack.enter_async_context(
                        httpx.AsyncClient(base_url=one, headers=headers, timeout=60, limits=limits)
                    )
                    for one in self.addresses
                ]
                return await asyncio.gather(*(ask(clients[number % 2], number) for number in range(calls)))

        return asyncio.run(all_at_once())


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[Processes]:
    """Both, with a limit of LIMIT guesses for each customer."""
    data_dir = tmp_path_factory.mktemp("shared")
    ledger = open_ledger(Settings.load(data_dir=data_dir).ledger_url)
    upgrade(ledger)
    now = datetime.now(UTC)
    _, free = create_key(ledger, "till-12", [Scope.REDEEM], per_second=None, now=now)
    _, limited = create_key(ledger, "till-13", [Scope.REDEEM], per_second=RATE, now=now)
    ledger.close()
    with ExitStack() as stack:
        options: dict[str, Any] = {"guesses_per_customer_per_minute": LIMIT, "guesses_per_client_per_minute": 10**9}
        addresses = [stack.enter_context(endcap_serve(data_dir, valkey_server, **options)) for _ in range(2)]
        yield Processes(addresses, (free, limited))


def guesses(customer_id: str, *, code_count: int) -> Ask:
    """A call about wrong codes; it returns how many the answer shows."""

    async def guess(client: httpx.AsyncClient, number: int) -> int:
        codes = [new_code() for _ in range(code_count)]
        body = {"customer_id": customer_id.format(number), "codes": codes, "lines": LINES}
        answer = await client.post("/v1/validations", json=body)
        assert answer.status_code in {200, 429}, answer.text
        return len(answer.json()["refused"]) if answer.status_code == 200 else 0

    return guess


def test_parallel_guesses_at_two_processes_show_no_more_codes_than_the_limit(processes: Processes) -> None:
    free = processes.keys[0]
    assert sum(processes.gather(free, guesses("ada", code_count=1), CALLS)) == LIMIT
    assert sum(processes.gather(free, guesses("bob", code_count=20), CALLS)) <= LIMIT


def test_guesses_of_many_customers_are_all_answered(processes: Processes) -> None:
    shown = processes.gather(processes.keys[0], guesses("customer-{}", code_count=1), CALLS)
    assert sum(shown) == CALLS, "or the limit above would not be what stops them"


def test_parallel_requests_at_two_processes_pass_at_the_rate_of_one(processes: Processes) -> None:
    async def ask(client: httpx.AsyncClient, _: int) -> int:
        return (await client.get("/v1/nothing")).status_code

    began_at = monotonic()
    passed = processes.gather(processes.keys[1], ask, CALLS).count(404)
    assert 2 * RATE <= passed <= RATE * (2 + monotonic() - began_at) + 1
