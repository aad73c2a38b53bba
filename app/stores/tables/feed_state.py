"""How the products feed by URL is: a small file that whoever fetches it writes, and servers and `doctor` read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from prometheus_client import Gauge

from app.files import replace_durably

FILE = "state.json"


@dataclass(frozen=True, slots=True)
class FeedState:
    """The last look, which file it found, and what the feed withdrew; instants are seconds since 1970."""

    source: str | None = None
    """The URL's SHA-256: it may hold a password."""
    etag: str | None = None
    modified: str | None = None
    attempted_at: float | None = None
    succeeded_at: float | None = None
    problem: str | None = None
    product_count: int = 0
    withdrawn: tuple[str, ...] = ()


def read_state(folder: Path) -> FeedState:
    """The state below this folder; of before the first look where there is none."""
    try:
        found = orjson.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return FeedState()
    return FeedState(**{**found, "withdrawn": tuple(found["withdrawn"])})


def show_state(folder: Path, gauges: Mapping[str, Gauge]) -> None:
    """Sets the metrics of the feed; before the first look they stay as they are."""
    state = read_state(folder)
    if state.attempted_at is not None:
        gauges["up"].set(state.problem is None)
        gauges["success_timestamp_seconds"].set(state.succeeded_at or 0)
        gauges["products"].set(state.product_count)


def write_state(folder: Path, state: FeedState) -> None:
    """Keeps the state, in the place of the one before."""
    replace_durably(folder / FILE, orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
