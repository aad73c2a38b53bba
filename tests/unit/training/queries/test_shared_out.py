"""Queries that two processes answer get the answers of one, in their order, and its errors; no process outlives it."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.domain import LiveEvent
from app.errors import LeakFound
from app.model.bundle import Bundle
from app.ports import CustomerState
from tests.support.server import wait_until
from tests.support.world import World
from tests.unit.training.queries.answers import answer_slowly, count_unless_elsewhere, own_pid
from tests.unit.training.ranking.test_leaks import newest_window
from training.data.dataset import product_table
from training.evaluation.lists import served_slates
from training.queries.evaluation_queries import EvaluationQueries, build_queries
from training.queries.shared_out import PART, SharedOut, ended
from training.queries.states import states_as_of
from training.ranking.fit import candidate_window, merged

Queried = tuple[Path, Bundle, EvaluationQueries]


@pytest.fixture(scope="module")
def queried(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Queried:
    """A folder with a bundle, the bundle, and queries of more than two parts."""
    folder = tmp_path_factory.mktemp("shared")
    split, bundle, history = newest_window(trained_world.settings, folder)
    states = states_as_of(history, product_table(trained_world.settings), split.train, sorted(split.truth))
    queries = build_queries(split, states, seed=0)
    return folder, bundle, queries.only([*range(len(queries))] * (1 + 2 * PART // len(queries)))


def test_two_processes_answer_as_one_does(queried: Queried) -> None:
    folder, bundle, queries = queried
    seen: list[tuple[int, int | None]] = []
    with SharedOut(folder, shared_from=1) as shared:
        window = merged(shared.answered(candidate_window, bundle, queries, lambda *done: seen.append(done)))
        pids = set(shared.answered(own_pid, bundle, queries, lambda *_: None))
        slates = served_slates(bundle, queries, lambda *_: None, shared=shared)
    alone = candidate_window(bundle, queries)
    assert all(np.array_equal(*pair) for pair in zip(window.rows, alone.rows, strict=True))
    assert all(np.array_equal(*pair) for pair in zip(window.labels, alone.labels, strict=True))
    assert (window.truth_counts, window.kinds) == (alone.truth_counts, alone.kinds)
    own_slates = served_slates(bundle, queries, lambda *_: None)
    assert np.array_equal(slates.items, own_slates.items)
    assert np.array_equal(slates.probability, own_slates.probability)
    assert seen[-1] == (len(queries), len(queries))
    # Control: others did answer, and they are gone with the block.
    assert os.getpid() not in pids
    wait_until(lambda: not any(map(runs, pids)), "they are gone")


def test_few_queries_and_none_are_answered_here(queried: Queried) -> None:
    folder, bundle, queries = queried
    with SharedOut(folder) as shared:
        assert shared.answered(own_pid, bundle, queries.only([0]), lambda *_: None) == [os.getpid()]
        assert len(merged(shared.answered(candidate_window, bundle, queries.only([]), lambda *_: None)).rows) == 0


def test_work_is_begun_elsewhere_where_processes_were_started(queried: Queried) -> None:
    folder, bundle, queries = queried
    with SharedOut(folder, shared_from=1) as shared:
        assert ended(shared.begun(os.getpid), os.getpid) == os.getpid()
        shared.answered(own_pid, bundle, queries, lambda *_: None)
        begun = shared.begun(os.getpid)
        assert begun is not None
        assert ended(begun, os.getpid) != os.getpid()
        shared.end()
        assert shared.begun(os.getpid) is None
        shared.answered(own_pid, bundle, queries, lambda *_: None)
        with pytest.raises(FileNotFoundError):
            ended(shared.begun(partial(os.stat, folder / "nothing")), partial(os.stat, folder))
        # A process that ends at once leaves its work to do, and takes the others with it.
        dying: Callable[[], int] = partial(os._exit, 1)
        assert ended(shared.begun(dying), os.getpid) == os.getpid()
        assert shared.begun(os.getpid) is None


def test_error_of_another_process_is_the_callers(queried: Queried) -> None:
    folder, bundle, queries = queried
    late = LiveEvent("late", "view_item", queries.queries[0].now_at.timestamp(), bundle.catalogue.product_ids[0])
    leaking = replace(queries, states=[CustomerState(events=[late]), *queries.states[1:]])
    with SharedOut(folder, shared_from=1) as shared, pytest.raises(LeakFound, match="late"):
        shared.answered(candidate_window, bundle, leaking, lambda *_: None)


def test_process_that_is_killed_costs_no_answer(queried: Queried, caplog: pytest.LogCaptureFixture) -> None:
    folder, bundle, queries = queried
    counts = [PART] * (len(queries) // PART) + [len(queries) % PART]
    with SharedOut(folder, shared_from=1) as shared:
        assert shared.answered(count_unless_elsewhere, bundle, queries, lambda *_: None) == counts
        # There is no process any more.
        assert shared.answered(count_unless_elsewhere, bundle, queries, lambda *_: None) == counts
    assert "it goes on without" in caplog.text


def test_where_no_process_can_be_started_the_training_answers(
    queried: Queried, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/dev/shm")

    monkeypatch.setattr("training.queries.shared_out.ProcessPoolExecutor", refuse)
    folder, bundle, queries = queried
    with SharedOut(folder, shared_from=1) as shared:
        assert set(shared.answered(own_pid, bundle, queries, lambda *_: None)) == {os.getpid()}
    assert "/dev/shm" in caplog.text


def test_nothing_outlives_a_killed_training(queried: Queried, tmp_path: Path) -> None:
    training = multiprocessing.get_context("spawn").Process(target=answer_slowly, args=(*queried, tmp_path))
    training.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both processes work")
    os.kill(training.pid or 0, signal.SIGKILL)
    wait_until(lambda: not any(runs(int(path.name)) for path in tmp_path.iterdir()), "they are gone")
    training.join()


def runs(pid: int) -> bool:
    """A process that ended and that nobody waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
