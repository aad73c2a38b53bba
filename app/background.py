"""What a process does next to its requests: tasks in turns, each of which outlives what goes wrong in one of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from app.errors import EndcapError

STUCK_AFTER_S = 60.0
"""A turn of any task takes seconds at most; the longest are a bundle of 100,000 products and a sweep of the ledger."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _State:
    """What is known of one task; `began_at` None between turns."""

    began_at: float | None = None
    problem: str | None = None
    running: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Background:
    """The background tasks of one process by name, and what is wrong with each."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """One turn of a task. What it raises is logged, and stands as its problem until a turn ends well."""
        state = self._states.setdefault(name, _State())
        state.began_at = self._clock()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the task border: the next turn is to come whatever happened
            self._failed(name, state, error)
        else:
            if state.problem is not None:
                _log.info("background task works again", extra={"task": name})
            state.problem = None
        finally:
            state.began_at = None

    def start(self, name: str, turn: Callable[[], Awaitable[object]], *, every_s: float) -> "asyncio.Task[None]":
        """Takes turns until it is cancelled, with a pause of `every_s` after each."""
        state = self._states.setdefault(name, _State())
        state.running = asyncio.create_task(self._repeat(name, turn, every_s), name=name)
        return state.running

    def problems(self) -> dict[str, str | None]:
        """Of every task what is wrong with it, None where it works; from any thread."""
        return {name: self._problem(state) for name, state in list(self._states.items())}

    async def _repeat(self, name: str, turn: Callable[[], Awaitable[object]], every_s: float) -> None:
        while True:
            with self.turn(name):
                await turn()
            await asyncio.sleep(every_s)

    def _failed(self, name: str, state: _State, error: Exception) -> None:
        problem = error.message if isinstance(error, EndcapError) else repr(error)
        # A task that fails every few milliseconds says so once.
        if problem != state.problem:
            # Whatever has a name explains itself; the rest is a fault of ours, and its place matters.
            trace = None if isinstance(error, EndcapError) else error
            _log.error("background task failed", exc_info=trace, extra={"task": name, "detail": problem})
        state.problem = problem

    def _problem(self, state: _State) -> str | None:
        if state.running is not None and state.running.done():
            return "it has ended"
        began_at = state.began_at
        if began_at is not None and self._clock() - began_at > STUCK_AFTER_S:
            return f"it has not come back for {self._clock() - began_at:.0f} s"
        return state.problem


def failing(problems: Mapping[str, str | None]) -> str | None:
    """The tasks that do not work, in one line without the reasons, which are the log's; None when all do."""
    names = [name for name, problem in problems.items() if problem is not None]
    return f"background task {', '.join(names)} fails: the log has the details" if names else None
