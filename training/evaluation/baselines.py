"""The live bundle as a fair rival: itself where it saw nothing of the window that judges, else its settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from app.errors import BundleMissing, BundleRefused
from app.model.bundle import Bundle, current_version, load_bundle
from training.data.split import Split
from training.queries.states import as_of_instant

LIVE_BUNDLE, LIVE_SETTINGS = "live bundle", "live settings"

LearnAgain = Callable[[Bundle], Bundle]
"""A bundle's settings, learned from what was known at the cut; KeyError or TypeError when it has others by now."""


@dataclass(frozen=True, slots=True)
class Rivals:
    """Bundles by the name that a report gives them, and what its reader must know of them."""

    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def live_rivals(bundles_dir: Path, split: Split, learn_again: LearnAgain) -> Rivals:
    """What the live bundle stands for in an evaluation on `split`, at most one; none before the first publication."""
    try:
        live = load_bundle(bundles_dir / current_version(bundles_dir))
    except BundleMissing:
        return Rivals(notes=("No bundle was live when this one was made.",))
    except BundleRefused as refused:
        return Rivals(notes=(f"The live bundle is left out: {refused.message}",))
    if _saw_nothing_since(live, split):
        note = f"{LIVE_BUNDLE}: bundle {live.version} as it serves; its history ended before the cut."
        return Rivals({LIVE_BUNDLE: live}, (note,))
    try:
        again = learn_again(live)
    except (KeyError, TypeError):
        return Rivals(notes=(f"Bundle {live.version}, live until now, is left out: its settings are of another kind.",))
    note = (
        f"{LIVE_SETTINGS}: what bundle {live.version} was tuned to, learned again from what was known at the cut. "
        "The live bundle itself has learned from the baskets that judge here, so its own slates would be no comparison."
    )
    return Rivals({LIVE_SETTINGS: again}, (note,))


def _saw_nothing_since(live: Bundle, split: Split) -> bool:
    end = (live.manifest.get("data_window") or {}).get("end")
    return split.kind == "time" and end is not None and datetime.fromisoformat(end) < as_of_instant(split.train)
