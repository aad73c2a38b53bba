"""The columns of a file one by one: samples, what each is taken for and how sure that is, how it is read."""

from dataclasses import dataclass

import polars as pl

from app.imports.columns.dates import DAY_FIRST
from app.imports.columns.reading import NUMBERS, TIMES
from app.imports.mapping.guess import GUESSED
from app.imports.mapping.names import SYNONYMS, named_columns
from app.imports.plan import Plan

SAMPLES = 3
SAMPLE_LENGTH = 40
STATED, SURE, LIKELY, UNUSED = "stated", "sure", "likely", "not used"


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One column of a file; `missing` is the share of its sampled values that are absent."""

    name: str
    samples: tuple[str, ...]
    meaning: str
    confidence: str
    read_as: str
    missing: float


def column_views(sample: pl.DataFrame, plan: Plan | None) -> list[ColumnView]:
    """A view of each column of the sample; without a plan only by their names."""
    meanings = _guessed(sample) if plan is None else _meanings(plan)
    return [_view(sample[name], meanings.get(name, []), plan) for name in sample.columns]


def _meanings(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, rule in plan.mapping.columns.items():
        for source in rule.sources():
            found.setdefault(source.lower(), []).append(name)
    for kinds in plan.mapping.rows:
        found.setdefault(kinds.column.lower(), []).append("what the row is")
    return found


def _guessed(sample: pl.DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table in SYNONYMS:
        for name, source in named_columns(sample.columns, table).items():
            # What it is in the first table whose columns are there: an article is no store.
            if source is not None:
                found.setdefault(source, [name])
    return found


def _view(column: pl.Series, meanings: list[str], plan: Plan | None) -> ColumnView:
    values = column.drop_nulls().cast(pl.String)
    shown = tuple(
        value[:SAMPLE_LENGTH] for value in values.filter(values != "").unique(maintain_order=True).head(SAMPLES)
    )
    share = 1 - values.filter(values != "").len() / column.len() if column.len() else 0.0
    return ColumnView(
        column.name,
        shown,
        " and ".join(meanings),
        _confidence(column.name, meanings, plan),
        _read_as(meanings, plan),
        share,
    )


def _confidence(name: str, meanings: list[str], plan: Plan | None) -> str:
    if not meanings:
        return UNUSED
    if plan is not None and plan.mapping.name != GUESSED:
        return STATED
    return SURE if name in meanings else LIKELY


def _read_as(meanings: list[str], plan: Plan | None) -> str:
    if plan is None:
        return ""
    if any(name in TIMES for name in meanings):
        times = plan.reading.times
        if times.format is not None:
            return f"{times.format}, {times.zone}"
        order = "" if not times.mark else ", day first" if times.order == DAY_FIRST else ", month first"
        return f"time{order}, {times.zone} where it names no zone"
    numbers = [name for name in meanings if name in NUMBERS]
    if numbers:
        return f"number with a decimal {plan.reading.decimals.get(numbers[0], 'point')}"
    return "text" if meanings else ""
