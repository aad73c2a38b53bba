"""What the manifests and the pointers say of every bundle: the list that a data scientist chooses from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.errors import BundleRefused
from app.model.release import Trials, read_trials
from training.release.publish import current_version_or_none, list_versions, published_versions

KEY_METRICS = ("ndcg@10", "recall@10", "hit@10")
COLUMNS = ("version", "", "created", *KEY_METRICS, "data until", "forced because")
PRODUCT = "endcap"


@dataclass(frozen=True, slots=True)
class Model:
    """One bundle: `marks` of live, canary, shadow and published; `metrics` of its training's held-out window.

    `forced` and `reason` are those of its last release, None before the first; instants are ISO 8601.
    """

    version: str
    created_at: str | None
    marks: tuple[str, ...]
    metrics: Mapping[str, float]
    window_start_at: str | None
    window_end_at: str | None
    forced: bool | None
    reason: str | None

    def to_dict(self) -> dict[str, object]:
        """The model in plain JSON types."""
        return asdict(self)

    def cells(self) -> list[str]:
        """The model for people, in the order of COLUMNS."""
        figures = [f"{self.metrics[name]:.4f}" if name in self.metrics else "–" for name in KEY_METRICS]
        marks, times = ", ".join(self.marks), [_minute(self.created_at), _minute(self.window_end_at)]
        return [self.version, marks, times[0], *figures, times[1], (self.reason or "") if self.forced else ""]


def list_models(bundles_dir: Path) -> list[Model]:
    """Every bundle that is there, newest first; one whose manifest cannot be read shows its version alone."""
    current, published = current_version_or_none(bundles_dir), published_versions(bundles_dir)
    trials = _trials(bundles_dir)
    return [
        _model(version, _manifest(bundles_dir / version), _marks(version, current, published, trials))
        for version in reversed(list_versions(bundles_dir))
    ]


def _marks(version: str, current: str | None, published: set[str], trials: Trials) -> tuple[str, ...]:
    marks = ["live"] if version == current else []
    if trials.canary is not None and trials.canary.version == version:
        marks.append(f"canary {trials.canary.share_percent:g} %")
    if trials.shadow is not None and trials.shadow.version == version:
        marks.append("shadow")
    return (*marks, "published") if version in published else tuple(marks)


def _model(version: str, manifest: Mapping[str, Any], marks: tuple[str, ...]) -> Model:
    figures = _mapping(_mapping(manifest.get("metrics")).get(PRODUCT))
    window = _mapping(manifest.get("data_window"))
    releases = manifest.get("releases") or [{}]
    last = _mapping(releases[-1])
    return Model(
        version=version,
        created_at=manifest.get("created_at"),
        marks=marks,
        metrics={name: float(figures[name]) for name in KEY_METRICS if isinstance(figures.get(name), int | float)},
        window_start_at=window.get("start"),
        window_end_at=window.get("end"),
        forced=last.get("forced"),
        reason=last.get("reason"),
    )


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads((folder / "manifest.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _trials(bundles_dir: Path) -> Trials:
    try:
        return read_trials(bundles_dir)
    except BundleRefused:
        return Trials()


def _minute(instant: str | None) -> str:
    return "–" if instant is None else instant[:16].replace("T", " ")
