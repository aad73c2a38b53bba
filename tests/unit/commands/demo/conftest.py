"""A small retailer with SIMULATED places, and its service."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from app.commands.demo.client import Client
from app.commands.demo.places import put_simulated_places
from app.commands.terminal import progress_bar
from app.places.simulation.places import SimulatedPlaces
from app.settings import Settings
from tests.support.server import serving
from tests.support.world import World


@dataclass(frozen=True, slots=True)
class Demo:
    """What `endcap demo` has when it shows something."""

    settings: Settings
    places: SimulatedPlaces
    client: Client


@pytest.fixture(scope="module")
def demo(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The service after all that the demo prepares."""
    data_dir = tmp_path_factory.mktemp("demo") / "var"
    shutil.copytree(trained_world.settings.bundles_dir, data_dir / "bundles")
    for name in ("history", "tables"):
        (data_dir / name).symlink_to(trained_world.settings.data_dir / name)
    settings = trained_world.settings.model_copy(update={"data_dir": data_dir})
    with progress_bar() as progress:
        places, count = put_simulated_places(settings, now=datetime.now(UTC), progress=progress)
    assert count == len(places.stores) == 3
    with serving(settings, trained_world.redis_url) as client:
        yield Demo(settings, places, Client(str(client.base_url).rstrip("/"), None))
