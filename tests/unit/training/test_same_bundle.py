"""The same data, seed and budget give the same bundle, whatever else the machine does meanwhile."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from app.model.bundle import current_version
from tests.support.world import World, no_progress
from training.run import train

BUDGET_S = 0.05
"""Enough for some trials of the small world, not for all: a budget that the clock spent would end elsewhere."""


def test_busy_machine_trains_the_same_bundle(own_world: World) -> None:
    quiet = contents(own_world, trained(own_world))
    with busy(processes=3):
        crowded = contents(own_world, trained(own_world))
    assert quiet.keys() == crowded.keys()
    assert [name for name, content in quiet.items() if content != crowded[name]] == []
    # Control: the live bundle has another seed and other factors.
    live = contents(own_world, current_version(own_world.settings.bundles_dir))
    assert live["item_factors.npy"] != quiet["item_factors.npy"]


def trained(world: World) -> str:
    report = train(world.settings, world.redis_url, budget_s=BUDGET_S, seed=3, publish=False, progress=no_progress)
    return report.version


def contents(world: World, version: str) -> dict[str, bytes]:
    """The bundle's files but for the manifest, which holds instants."""
    folder = world.settings.bundles_dir / version
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


@contextmanager
def busy(*, processes: int) -> Iterator[None]:
    """So many processes that count as fast as they can."""
    counting = [multiprocessing.get_context("spawn").Process(target=count, daemon=True) for _ in range(processes)]
    for process in counting:
        process.start()
    yield
    for process in counting:
        process.kill()
        process.join()


def count() -> None:
    number = 0
    while True:
        number += 1
