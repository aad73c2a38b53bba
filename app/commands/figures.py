"""What a training or an evaluation found out, as tables for people: the product against its baselines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from app.commands.text_table import TextTable

PRODUCT = "endcap"
COUNT = "customers"
AGAINST = "endcap is"
"""Heads the column that compares the product with the best baseline of each metric."""

SHOWN_COUNT = 5

Figures = Mapping[str, float]


class Gate(Protocol):
    """What the gate checked."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Per check its name, ok or FAIL, and what was seen."""


class EvaluationOutcome(Protocol):
    """What training and evaluation have in common: a bundle's version, its figures by ranking, the page about it."""

    @property
    def version(self) -> str:
        """The bundle."""

    @property
    def metrics(self) -> Mapping[str, object]:
        """Figures by ranking, as the bundle's manifest keeps them."""

    @property
    def report(self) -> Path:
        """The page."""


class NonGood(Protocol):
    """A product that looks like no goods."""

    @property
    def product_id(self) -> str:
        """Which."""

    @property
    def is_left_out(self) -> bool:
        """True when it is not recommended; others are worth a look."""


class TrainingOutcome(EvaluationOutcome, Protocol):
    """What a training adds to that."""

    @property
    def published(self) -> bool:
        """True when the bundle is live."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Time by step."""

    @property
    def gate(self) -> Gate | None:
        """What the gate checked; None when it did not run."""

    @property
    def notes(self) -> Sequence[str]:
        """What to know of the bundle, and what to do about it."""

    @property
    def non_goods(self) -> Sequence[NonGood]:
        """What looks like no goods, those that were left out first."""


def training_outcome(trained: TrainingOutcome) -> list[str | TextTable]:
    """The new bundle, its figures, what the gate checked, and where the time went."""
    spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in trained.seconds.items())
    gate = [] if trained.gate is None else [TextTable(("check", "", "detail"), trained.gate.rows())]
    state = "is live" if trained.published else "is not published"
    tables = metric_tables(trained.metrics)
    # What the gate shows, it says once.
    notes = [] if gate else [f"note: {note}" for note in trained.notes]
    lines = [*notes, *_non_goods_lines(trained.non_goods), f"time: {spent}", f"report: {trained.report}"]
    return [f"bundle {trained.version} {state}", *tables, *gate, *lines]


def _non_goods_lines(non_goods: Sequence[NonGood]) -> list[str]:
    """What was not recommended for being no goods, in a line; none where there is nothing to say."""
    if not non_goods:
        return []
    out = [one.product_id for one in non_goods if one.is_left_out]
    named = ", ".join(out[:SHOWN_COUNT]) + (f" and {len(out) - SHOWN_COUNT:,} more" if len(out) > SHOWN_COUNT else "")
    left_out = f"{len(out):,} left out ({named})" if out else "none left out"
    return [f"no goods: {left_out}, {len(non_goods) - len(out):,} worth a look; the report says why"]


def evaluation_outcome(evaluated: EvaluationOutcome) -> list[str | TextTable]:
    """The figures that a bundle's settings reach."""
    tables = metric_tables(evaluated.metrics)
    return [f"settings of bundle {evaluated.version}", *tables, f"report: {evaluated.report}"]


def metric_tables(metrics: Mapping[str, object]) -> list[str | TextTable]:
    """The product against its baselines, a row per metric; the product's parts likewise; then all other figures."""
    named = {name: figures for name, figures in metrics.items() if isinstance(figures, Mapping)}
    if PRODUCT not in named:
        return []
    rankings = {name: figures for name, figures in named.items() if figures.keys() == named[PRODUCT].keys()}
    parts = {name: rankings[name] for name in rankings if name.startswith(f"{PRODUCT}, ")}
    compared = {name: rankings[name] for name in rankings if name not in parts}
    others = [
        (f"{name}: {figure}", f"{value:.4f}")
        for name, figures in named.items()
        if name not in rankings
        for figure, value in figures.items()
    ]
    tables: list[str | TextTable] = [_against_baselines(compared)]
    if parts:
        columns = ("of these", *(name.removeprefix(f"{PRODUCT}, ") for name in parts))
        tables.append(TextTable(columns, [_row(metric, parts) for metric in rankings[PRODUCT]]))
    return [*tables, TextTable(("figure", "value"), others)] if others else tables


def _against_baselines(rankings: Mapping[str, Figures]) -> TextTable:
    rows = [(*_row(metric, rankings), _mark(metric, rankings)) for metric in rankings[PRODUCT]]
    return TextTable(("metric", *rankings, AGAINST), rows)


def _row(metric: str, rankings: Mapping[str, Figures]) -> Sequence[str]:
    values = (figures[metric] for figures in rankings.values())
    return metric, *(f"{value:,.0f}" if metric == COUNT else f"{value:.4f}" for value in values)


def _mark(metric: str, rankings: Mapping[str, Figures]) -> str:
    """Whether the product is better or worse than the best baseline; of all these metrics more is better."""
    baselines = [figures[metric] for name, figures in rankings.items() if name != PRODUCT]
    if metric == COUNT or not baselines:
        return ""
    own, best = rankings[PRODUCT][metric], max(baselines)
    return "equal" if own == best else "better" if own > best else "worse"
