"""The live bundle as a fair baseline: itself where it saw nothing of the test window, else its settings retrained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from app.errors import BundleMissing, BundleRefused
from app.model.bundle import Bundle, current_version, load_bundle
from training.data.split import Split
from training.queries.states import as_of_instant

LIVE_BUNDLE, LIVE_SETTINGS = "live bundle", "live settings"

Retrain = Callable[[Bundle], Bundle]
"""The bundle retrained with its settings on what was known at the cut; KeyError or TypeError for unknown settings."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Bundles by the name that a report gives them, and notes on them for its reader."""

    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def with_notes(self, notes: tuple[str, ...]) -> "Baselines":
        """The same with these notes first."""
        return replace(self, notes=(*notes, *self.notes))


def live_baselines(bundles_dir: Path, split: Split, retrain: Retrain) -> Baselines:
    """What stands for the live bundle in an evaluation on `split`, at most one; none before the first publication."""
    try:
        live = load_bundle(bundles_dir / current_version(bundles_dir))
    except BundleMissing:
        return Baselines(notes=("No bundle was live when this one was made.",))
    except BundleRefused as refused:
        return Baselines(notes=(f"The live bundle is left out: {refused.message}",))
    if _saw_nothing_since(live, split):
        note = f"{LIVE_BUNDLE}: bundle {live.version} as it serves; its history ended before the cut."
        return Baselines({LIVE_BUNDLE: live}, (note,))
    try:
        retrained = retrain(live)
    except (KeyError, TypeError):
        return Baselines(
            notes=(f"Bundle {live.version}, live until now, is left out: its settings are of another kind.",)
        )
    note = (
        f"{LIVE_SETTINGS}: what bundle {live.version} was tuned to, retrained on what was known at the cut. "
        "The live bundle itself was trained on the baskets of this test, so its own slates would be no fair comparison."
    )
    return Baselines({LIVE_SETTINGS: retrained}, (note,))


def _saw_nothing_since(live: Bundle, split: Split) -> bool:
    end = (live.manifest.get("data_window") or {}).get("end")
    return split.kind == "time" and end is not None and datetime.fromisoformat(end) < as_of_instant(split.train)
