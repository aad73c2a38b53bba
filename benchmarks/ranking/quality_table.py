"""What was measured on each set becomes one table: a row per ranking, every mean with its 95 % interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.ranking.protocols import Protocol
from benchmarks.ranking.ranked import METRICS, Lists, Wide, customer_figures
from training.metrics.ranking import mean_intervals

HEADER = ("set", "ranking", "customers", "Recall", "NDCG", "hit", "MRR", "ECE", "CPU s", "MiB")
SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over customers and its 95 % confidence interval, by drawing customers again (Efron 1979)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """The mean with both ends, without the zero in front of the point."""
        ends = "–".join(_short(end) for end in (self.low, self.high))
        return f"{_short(self.mean)} ({ends})"


@dataclass(frozen=True, slots=True)
class Ranking:
    """One ranking's figures by metric; `parts`: the same over some of the queries, with how many these are."""

    name: str
    figures: Mapping[str, Interval]
    parts: Mapping[str, tuple[int, Mapping[str, Interval]]]

    @staticmethod
    def of(name: str, lists: Lists, protocol: Protocol) -> "Ranking":
        """The figures of these lists; apart for what was viewed in the session already, where there are views."""
        values = customer_figures(lists, protocol.truth, k=protocol.k)
        parts = {}
        if protocol.recent:
            is_seen = np.array([not wanted.isdisjoint(protocol.recent[one]) for one, wanted in protocol.truth.items()])
            for part, rows in (("in the session already", is_seen), ("new to the session", ~is_seen)):
                parts[part] = (int(rows.sum()), _intervals(values[rows]))
        return Ranking(name, _intervals(values), parts)


@dataclass(frozen=True, slots=True)
class SetResult:
    """Everything of one set: the rankings at the cut-off `k`, the calibration of what is shown, and what it took.

    `cpu_seconds` (user and system) and `peak_mib` (resident) are those of the training.
    """

    protocol: str
    k: int
    customers: int
    training_lines: int
    products: int
    rankings: Sequence[Ranking]
    calibration: Mapping[str, float]
    cpu_seconds: float
    peak_mib: int
    seconds: Mapping[str, float]
    trained: Mapping[str, object]

    def document(self) -> dict[str, object]:
        """The result in plain JSON types."""
        return asdict(self)


def as_table(results: Mapping[str, SetResult], facts: Mapping[str, object]) -> str:
    """A Markdown table whose columns line up, and below it where and when it was measured and what the sets are."""
    rows = [row for name, result in results.items() for row in _rows(name, result)]
    widths = [max(len(row[place]) for row in [HEADER, *rows]) for place in range(len(HEADER))]
    ruler = tuple("-" * width for width in widths)
    lines = [_line(row, widths) for row in (HEADER, ruler, *rows)]
    sets = [f"- {name}: {result.protocol}; {_size(result)}" for name, result in results.items()]
    measured = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    return "\n".join([*lines, "", *sets, "", measured])


def _rows(name: str, result: SetResult) -> list[tuple[str, ...]]:
    rows = []
    for ranking in result.rankings:
        is_own = ranking is result.rankings[0]
        cost = (_short(result.calibration["ece"]), f"{result.cpu_seconds:.0f}", f"{result.peak_mib:,}")
        rows.append(
            (name, ranking.name, f"{result.customers:,}", *_cells(ranking.figures), *(cost if is_own else ("",) * 3))
        )
        rows += [
            (name, f"{ranking.name}, {part}", f"{count:,}", *_cells(figures), "", "", "")
            for part, (count, figures) in ranking.parts.items()
        ]
    return rows


def _cells(figures: Mapping[str, Interval]) -> list[str]:
    return [str(figures[metric]) for metric in METRICS]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def _size(result: SetResult) -> str:
    size = f"at {result.k}, {result.training_lines:,} lines of {result.products:,} products"
    return f"{size}, {result.seconds['train']:.0f} s of training"


def _intervals(values: Wide) -> dict[str, Interval]:
    ends = np.stack(mean_intervals(values, seed=SEED), axis=1).round(6).tolist()
    return {metric: Interval(*row) for metric, row in zip(METRICS, ends, strict=True)}


def _short(figure: float) -> str:
    return f"{figure:.3f}".removeprefix("0")
