"""Requests that are wrong in a few places, many of them: each is answered, and nothing that was taken is lost."""

import shutil
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from app.composition.worker import opened_worker
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from benchmarks.failures.hostility import Answers, ask_everything, lost
from tests.support.server import serving, wait_until
from tests.support.world import World

COUNT, SEED = 500, 11
"""`python -m benchmarks.failures.hostility` asks thousands, of a whole `endcap up`."""


@pytest.mark.parametrize("is_away", [False, True], ids=["redis up", "redis away"])
def test_wrong_request_is_answered_and_costs_nothing_that_was_taken(
    trained_world: World, tmp_path: Path, valkey: str, ledger_url: str, is_away: bool
) -> None:
    shutil.copytree(trained_world.settings.data_dir, tmp_path / "var")
    settings = Settings.load(data_dir=tmp_path / "var", database_url=ledger_url)
    answers = Answers()
    redis_url = f"redis://127.0.0.1:{free_port()}/0" if is_away else valkey
    with serving(settings, redis_url) as api:
        ask_everything(api.base_url.port or 80, answers, count=COUNT, seed=SEED, is_away=is_away)
    assert not answers.faults, "\n".join(answers.faults)
    assert {200, 201, 404, 422} <= set(answers.statuses)
    stop = Flag()
    with opened_worker(settings, valkey) as worker:
        working = Thread(target=worker.run, args=(stop,))
        working.start()
        try:
            wait_until(lambda: not lost(settings, answers), "history and ledger hold all that was taken", timeout_s=20)
        finally:
            stop.set()
            working.join()
    assert answers.redeemed
    assert bool(answers.accepted) is not is_away
