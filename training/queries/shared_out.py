"""Queries shared out between two processes: one ranking after the other would leave the second core idle."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from app.domain import Query
from app.model.bundle import Bundle, load_bundle
from app.ports import CustomerState, StageProgress
from training.queries.evaluation_queries import EvaluationQueries

PROCESSES = 2
"""As many as implicit and CatBoost have threads here."""
PART = 200
SHARED_FROM = 1000
"""Fewer queries are answered sooner than processes start."""
T = TypeVar("T")
Answer = Callable[[Bundle, EvaluationQueries], T]
AnswerOne = Callable[[Bundle, Query, CustomerState], T]

_log = logging.getLogger(__name__)


class SharedOut(AbstractContextManager["SharedOut"]):
    """Processes that answer queries by the bundles of one folder; started when first needed, ended with the block.

    By a bundle that is not in the folder the process itself answers.
    """

    def __init__(self, folder: Path, *, shared_from: int = SHARED_FROM) -> None:
        self.folder, self._shared_from = folder, shared_from
        self._pool: ProcessPoolExecutor | None = None

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the processes, whose memory is wanted for something else; the next queries start them again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def answered(
        self, answer: Answer[T], bundle: Bundle, queries: EvaluationQueries, progress: StageProgress
    ) -> list[T]:
        """What `answer`, a function of a module, says of each part of the queries, in their order.

        It says the same wherever it runs.
        """
        # At least one, so that there is an answer about nothing, too.
        starts = range(0, max(len(queries), 1), PART)
        parts = [queries.only(range(start, min(start + PART, len(queries)))) for start in starts]
        waiting = self._submitted(answer, bundle, parts) if len(queries) >= self._shared_from else None
        if waiting is None:
            found = (answer(bundle, part) for part in parts)
        else:
            found = (ended(one, partial(answer, bundle, part)) for one, part in zip(waiting, parts, strict=True))
        answers, done = [], 0
        for part, one in zip(parts, found, strict=True):
            answers.append(one)
            progress(done := done + len(part), len(queries))
        return answers

    def each(
        self, answer: AnswerOne[T], bundle: Bundle, queries: EvaluationQueries, progress: StageProgress
    ) -> list[T]:
        """What `answer`, a function of a module, says of each query."""
        return list(chain.from_iterable(self.answered(partial(_each, answer), bundle, queries, progress)))

    def begun(self, work: Callable[[], T]) -> Future[T] | None:
        """`work`, a function of a module, begun in a process that is idle meanwhile; None where there is none."""
        try:
            return None if self._pool is None else self._pool.submit(work)
        except BrokenProcessPool as error:
            _log.warning("no process works next to the training (%s); it goes on without", error)
            return None

    def _submitted(
        self, answer: Answer[T], bundle: Bundle, parts: Sequence[EvaluationQueries]
    ) -> list[Future[T]] | None:
        """What other processes will have answered; None where none can."""
        path = self.folder / bundle.version
        if not path.is_dir():
            return None
        try:
            if self._pool is None:
                # Not forked: Polars and OpenMP have threads, whose locks a fork would copy as they are.
                spawning = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(PROCESSES, mp_context=spawning, initializer=_begin)
            return [self._pool.submit(_answer, answer, path, part) for part in parts]
        except (OSError, BrokenProcessPool) as error:
            # A container without a /dev/shm that may be written to, or processes that were killed.
            _log.warning("no process answers next to the training (%s); it goes on without", error)
            return None


def ended(begun: Future[T] | None, here: Callable[[], T]) -> T:
    """What the begun work comes to, which is waited for; where no process has done it, `here` does."""
    try:
        if begun is not None:
            return begun.result()
    except BrokenProcessPool:
        # Mostly for want of memory, of which this one process needs less.
        _log.warning("a process of the training ended before its work did; going on without it")
    return here()


def _begin() -> None:
    # An interrupt goes to all: the command itself ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # Killed, it could not say that there is nothing more to do.
        os._exit(1)


def _answer(answer: Answer[T], path: Path, queries: EvaluationQueries) -> T:
    return answer(_loaded(path), queries)


def _each(answer: AnswerOne[T], bundle: Bundle, queries: EvaluationQueries) -> list[T]:
    return [answer(bundle, query, state) for query, state, _ in queries]


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Bundle:
    return load_bundle(path)


HERE = SharedOut(Path(os.devnull))
"""No bundle is in there: the process itself answers."""
