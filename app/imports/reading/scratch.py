"""Where imports unpack and gather what is on its way in, and how somebody waits until none is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from app.files import shared_turn, turn

LOCK = ".imports.lock"
PREFIX = ".import-"


@contextmanager
def importing(data_dir: Path) -> Iterator[None]:
    """An import is on its way; any number of them may be."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with shared_turn(data_dir / LOCK):
        yield


@contextmanager
def scratch(data_dir: Path) -> Iterator[Path]:
    """A folder for an import, which vanishes at its end; what a killed one leaves goes with the next `no_import`."""
    with importing(data_dir), TemporaryDirectory(prefix=PREFIX, dir=data_dir) as folder:
        yield Path(folder)


@contextmanager
def no_import(data_dir: Path) -> Iterator[int]:
    """Waits until no import is on its way, and keeps new ones waiting; gives how many folders killed ones had left."""
    with turn(data_dir / LOCK):
        left = list(data_dir.glob(f"{PREFIX}*"))
        for folder in left:
            rmtree(folder)
        yield len(left)
