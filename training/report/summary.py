"""A finished training or evaluation in a few lines for a terminal, and in plain JSON types for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from textwrap import wrap

from app.errors import ReleaseRefused
from training.evaluation.results import PRODUCT
from training.release.release import GateResult

PART_FIGURES = ("hit@10", "recall@10", "ndcg@10", "mrr@10")
WIDTH = 80

Rows = Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training run made, how good it is on held-out baskets, and where the time went (seconds)."""

    version: str
    _: KW_ONLY
    published: bool
    metrics: Mapping[str, object]
    seconds: Mapping[str, float]
    report: Path
    gate: GateResult | None = None

    @property
    def refusal(self) -> ReleaseRefused | None:
        """Why the gate did not let the bundle through; None when it did, or did not run."""
        return None if self.gate is None else self.gate.refusal()

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return {
            "version": self.version,
            "published": self.published,
            "metrics": self.metrics,
            "seconds": self.seconds,
            "report": str(self.report),
            "gate": None if self.gate is None else self.gate.to_dict(),
        }

    def to_table(self) -> Rows:
        """The product's figures next to its baselines' (`metric_table`)."""
        return metric_table(self.metrics)

    def to_text(self) -> str:
        """The report for people: version, figures next to their baselines, the gate's checks, time."""
        lines = [f"bundle {self.version}{' is live' if self.published else ' (not published)'}"]
        lines += metric_lines(self.metrics)
        lines += [] if self.gate is None else self.gate.lines()
        spent = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in self.seconds.items())
        return "\n".join([*lines, *_wrapped(f"time: {spent}"), f"report: {self.report}"])


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The figures of one bundle's settings on its held-out part."""

    version: str
    metrics: Mapping[str, object]
    report: Path

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return asdict(self) | {"report": str(self.report)}

    def to_table(self) -> Rows:
        """The product's figures next to its baselines' (`metric_table`)."""
        return metric_table(self.metrics)

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"settings of bundle {self.version}", *metric_lines(self.metrics)]
        return "\n".join([*lines, f"report: {self.report}"])


def metric_table(metrics: Mapping[str, object]) -> Rows:
    """A row per figure, after a header: the product's and each baseline's, which it is marked against.

    "+" where the product is better, "-" where it is worse, "=" where both are equal. Means alone: whether a difference
    is more than noise stands in the report's own page. Empty where no ranking was measured.
    """
    rankings = {name: figures for name, figures in _mappings(metrics).items() if "ndcg@10" in figures}
    baselines = {name: figures for name, figures in rankings.items() if not name.startswith(PRODUCT)}
    if PRODUCT not in rankings:
        return []
    own = {name: value for name, value in rankings[PRODUCT].items() if name != "customers"}
    rows = [
        (name, f"{value:.4f}", *(_marked(value, figures[name]) for figures in baselines.values()))
        for name, value in own.items()
    ]
    return [("", PRODUCT, *baselines), *rows]


def part_table(metrics: Mapping[str, object]) -> Rows:
    """A row per part of the evaluation, after a header: on how many customers, and the product's figures."""
    prefix = f"{PRODUCT}, "
    rows = [
        (name.removeprefix(prefix), f"{figures['customers']:,}", *(f"{figures[one]:.4f}" for one in PART_FIGURES))
        for name, figures in _mappings(metrics).items()
        if name.startswith(prefix)
    ]
    return [(PRODUCT, "customers", *PART_FIGURES), *rows] if rows else []


def metric_lines(metrics: Mapping[str, object]) -> list[str]:
    """Both tables, then every other group of figures on a line of its own, all within 80 columns."""
    lines = _aligned(metric_table(metrics))
    if lines:
        lines.append(f"  + {PRODUCT} is better, - it is worse, = both are equal")
    lines += _aligned(part_table(metrics))
    for name, figures in _mappings(metrics).items():
        if "ndcg@10" not in figures:
            values = ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items())
            lines += _wrapped(f"  {name}: {values}")
    return lines


def _mappings(metrics: Mapping[str, object]) -> dict[str, Mapping[str, float]]:
    return {name: figures for name, figures in metrics.items() if isinstance(figures, Mapping)}


def _marked(own: float, other: float) -> str:
    return f"{other:.4f} {'=' if own == other else '+' if own > other else '-'}"


def _aligned(rows: Rows) -> list[str]:
    """The rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"  {row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _wrapped(line: str) -> list[str]:
    return wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
