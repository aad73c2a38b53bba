"""Jobs take turns by their numbers, and few of them are kept."""

import os
from pathlib import Path
from threading import Thread

import pytest

from app.stores.jobs.folder import KEPT_COUNT, MAX_WAITING_COUNT, Job, Jobs, QueueFull

REQUEST = {"kind": "import", "file": "f"}


def held(jobs: Jobs) -> tuple[Job, int]:
    """A job that somebody holds, until the descriptor is closed."""
    with jobs.added(REQUEST, None) as (job, lock):
        return job, os.dup(lock.fileno())


def test_job_waits_for_those_before_it(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    (first, lock), (second, other) = held(jobs), held(jobs)
    done = []

    def begin() -> None:
        second.begin()
        done.append("second")

    thread = Thread(target=begin)
    thread.start()
    thread.join(0.2)
    assert second.outcome() == {"status": "queued"}
    done.append("first")
    first.end({"status": "done"})
    os.close(lock)
    thread.join()
    assert done == ["first", "second"]
    assert (first.outcome(), second.outcome()) == ({"status": "done"}, {"status": "running"})
    os.close(other)
    assert second.outcome() == {"status": "interrupted"}


def test_no_more_jobs_wait_than_may(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    locks = [held(jobs)[1] for _ in range(MAX_WAITING_COUNT)]
    with pytest.raises(QueueFull), jobs.added(REQUEST, None):
        pass
    os.close(locks.pop(0))
    locks.append(held(jobs)[1])
    for lock in locks:
        os.close(lock)


def test_only_the_last_outcomes_are_kept(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for _ in range(KEPT_COUNT + 2):
        with jobs.added(REQUEST, None) as (job, _):
            job.end({"status": "done"})
    assert jobs.find("00000001") is None
    assert len(list(tmp_path.glob("[0-9]*"))) == KEPT_COUNT + 1
