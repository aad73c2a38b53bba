"""Two bundles side by side: what their trainings measured, and the same held-out queries replayed on both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.model.bundle import Bundle, load_bundle
from app.ports import Progress
from app.settings import Settings
from training.metrics.ranking import Wide, paired_interval
from training.release.publish import check_there
from training.release.replay import CUTOFF, HeldOutQueries, held_out_queries, replay

SEED = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean NDCG@10 of both over so many customers, and second less first with its 95 % interval."""

    customers: int
    first: float
    second: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`metrics` of both manifests; on one set of queries `quality`, `discovery` (new products) and products shown."""

    versions: tuple[str, str]
    metrics: Mapping[str, tuple[float | None, float | None]]
    quality: Difference
    discovery: Difference
    shown: tuple[int, int]
    note: str

    def to_dict(self) -> dict[str, object]:
        """The comparison in plain JSON types."""
        replayed = {name: _facts(one) for name, one in (("quality", self.quality), ("discovery", self.discovery))}
        metrics = {name: list(pair) for name, pair in self.metrics.items()}
        shown = {"products_shown": list(self.shown)}
        return {"versions": list(self.versions), "metrics": metrics, "replay": replayed | shown, "note": self.note}

    def rows(self) -> list[tuple[str, str, str]]:
        """Per figure its name and its value for both bundles."""
        rows = [(name, _formatted(pair[0]), _formatted(pair[1])) for name, pair in self.metrics.items()]
        for name, one in (("replay: quality", self.quality), ("replay: discovery", self.discovery)):
            rows.append((f"{name}, NDCG@{CUTOFF}", f"{one.first:.4f}", f"{one.second:.4f}"))
            interval = f"{one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
            rows.append((f"{name}, {one.customers:,} customers", "", interval))
        rows.append(("replay: distinct products shown", f"{self.shown[0]:,}", f"{self.shown[1]:,}"))
        return [*rows, ("note", "", self.note)] if self.note else rows


def compare(settings: Settings, first: str, second: str, *, progress: Progress) -> Comparison:
    """Both bundles on the same queries; raises BundleMissing, or BundleRefused for one that cannot be read."""
    bundles = load_both(settings, first, second)
    return compare_on(bundles, queries_of_last_window(settings, progress), progress)


def load_both(settings: Settings, first: str, second: str) -> tuple[Bundle, Bundle]:
    """The two bundles; raises BundleMissing, or BundleRefused for one that cannot be read."""
    for version in (first, second):
        check_there(settings.bundles_dir, version)
    return load_bundle(settings.bundles_dir / first), load_bundle(settings.bundles_dir / second)


def queries_of_last_window(settings: Settings, progress: Progress) -> HeldOutQueries:
    """What a comparison of two bundles replays."""
    progress("held-out queries", 0, 1)
    queries = held_out_queries(settings, seed=SEED)
    progress("held-out queries", 1, 1)
    return queries


def compare_on(bundles: tuple[Bundle, Bundle], queries: HeldOutQueries, progress: Progress) -> Comparison:
    """What both trainings measured, and both bundles replayed on these queries."""
    first, second = bundles
    one, other = (replay(bundle, queries, partial(progress, f"replay {bundle.version}")) for bundle in bundles)
    return Comparison(
        (first.version, second.version),
        metrics_side_by_side(first.manifest, second.manifest),
        _difference(one.ndcg, other.ndcg),
        _difference(one.new_ndcg, other.new_ndcg),
        (one.shown_count, other.shown_count),
        unfair_advantage(queries, first, second),
    )


def metrics_side_by_side(
    first: Mapping[str, object], second: Mapping[str, object]
) -> dict[str, tuple[float | None, float | None]]:
    """Per ranking and metric the figures of two manifests, None where one has none."""
    ours, theirs = _figures(first), _figures(second)
    return {name: (ours.get(name), theirs.get(name)) for name in dict.fromkeys((*ours, *theirs))}


def unfair_advantage(queries: HeldOutQueries, first: Bundle, second: Bundle) -> str:
    """A note for the reader when only one of two bundles has learned from the very window that is replayed."""
    if queries.cut_at is None:
        return ""
    saw = [bundle.version for bundle in (first, second) if _end_of(bundle.manifest) > queries.cut_at.timestamp()]
    return f"only {saw[0]} has learned from this window, which favours it" if len(saw) == 1 else ""


def _difference(first: Wide, second: Wide) -> Difference:
    if not len(first):
        return Difference(0, 0.0, second=0.0, mean=0.0, low=0.0, high=0.0)
    return Difference(len(first), float(first.mean()), float(second.mean()), *paired_interval(second - first))


def _figures(manifest: Mapping[str, object]) -> dict[str, float]:
    metrics = manifest.get("metrics")
    rankings = metrics.items() if isinstance(metrics, Mapping) else ()
    return {
        f"{ranking}: {name}": float(value)
        for ranking, figures in rankings
        if isinstance(figures, Mapping)
        for name, value in figures.items()
        if isinstance(value, int | float)
    }


def _end_of(manifest: Mapping[str, object]) -> float:
    window = manifest.get("data_window")
    end = window.get("end") if isinstance(window, Mapping) else None
    return datetime.fromisoformat(str(end)).timestamp() if end else 0.0


def _facts(one: Difference) -> dict[str, object]:
    interval = {"mean": one.mean, "low": one.low, "high": one.high}
    return {"customers": one.customers, f"ndcg@{CUTOFF}": [one.first, one.second], "difference": interval}


def _formatted(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
