"""What other processes answer in tests; few imports, because each of them makes them all."""

import multiprocessing
import os
import signal
from pathlib import Path
from time import sleep

from app.model.bundle import Bundle
from training.queries.evaluation_queries import EvaluationQueries
from training.queries.shared_out import SharedOut


def own_pid(_: Bundle, __: EvaluationQueries) -> int:
    return os.getpid()


def count_unless_elsewhere(_: Bundle, queries: EvaluationQueries) -> int:
    """How many queries there are; another process does not live to say it."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(queries)


def answer_slowly(folder: Path, bundle: Bundle, queries: EvaluationQueries, signs: Path) -> None:
    """Has two processes work until they are ended; each leaves a file with its number as name."""
    os.environ["SIGNS"] = str(signs)
    with SharedOut(folder, shared_from=1) as shared:
        shared.answered(_sleep, bundle, queries, lambda *_: None)


def _sleep(_: Bundle, __: EvaluationQueries) -> None:
    (Path(os.environ["SIGNS"]) / str(os.getpid())).touch()
    sleep(600)
