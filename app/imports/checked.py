"""Join parsed columns to a frame of sound rows and list every fault of the others."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl

from app.imports.columns.words import IGNORED
from app.imports.mapping.apply import KIND, LEFT_OUT, WORD
from app.imports.reading.block import Block
from app.imports.report import EXAMPLE_LENGTH, Reject
from app.imports.values import ParsedColumn

NOTHING_BOUGHT = "nothing was bought"


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The sound rows of a block in their final types, which rows those are, and the faults of the rest."""

    frame: pl.DataFrame
    sound: pl.Series
    rejects: list[Reject]


def columns_of(block: Block) -> Callable[[str], pl.Series]:
    """Gives the block's columns by name; one that the file lacks is all null."""
    absent = pl.repeat(None, block.frame.height, dtype=pl.String, eager=True)
    return lambda name: block.frame[name] if name in block.frame.columns else absent


def without_ignored(block: Block) -> tuple[Block, Counter[str]]:
    """The block without the rows that its mapping leaves out, and how many those are by reason."""
    reasons = []
    if LEFT_OUT in block.frame.columns:
        reasons.append(block.frame[LEFT_OUT])
    if KIND in block.frame.columns:
        is_ignored = (block.frame[KIND] == IGNORED) & block.frame[WORD].is_null()
        reasons.append(pl.select(pl.when(is_ignored).then(pl.lit(NOTHING_BOUGHT))).to_series())
    if not reasons:
        return block, Counter()
    reason = pl.select(pl.coalesce(reasons)).to_series()
    kept = reason.is_null()
    counts = Counter(reason.drop_nulls().to_list())
    frame = block.frame.drop(LEFT_OUT, strict=False)
    if not counts:
        return replace(block, frame=frame), counts
    rows = kept.arg_true().to_numpy()
    return replace(
        block, frame=frame.filter(kept), lines=block.lines[rows], raw=lambda row: block.raw(int(rows[row]))
    ), counts


def check(block: Block, parsed: Mapping[str, ParsedColumn]) -> CheckedRows:
    """Keep the rows without any fault; list each fault of the others, besides the block's broken lines."""
    frame = pl.DataFrame([column.values.alias(name) for name, column in parsed.items()])
    sound = pl.repeat(True, frame.height, eager=True)
    rejects = list(block.broken)
    for name, column in parsed.items():
        for reason, mask in column.faults:
            if mask.any():
                # Comparing an absent value gives null, which is no fault.
                sound = sound & ~mask.fill_null(False)
                rejects += _listed(block, name, reason, mask)
    rejects.sort(key=lambda reject: (reject.line, reject.column))
    # Filtering copies, which a block without faults can do without.
    if len(rejects) > len(block.broken):
        frame = frame.filter(sound)
    return CheckedRows(frame, sound, rejects)


class LeftOut:
    """Values that were left out of rows which are sound without them: how many of each kind, and the first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}

    def add(self, block: Block, parsed: Mapping[str, ParsedColumn]) -> None:
        """Counts those of a block."""
        for name, column in parsed.items():
            for reason, mask in column.doubts:
                rows = mask.arg_true()
                if rows.len():
                    first = int(rows[0])
                    example = f"{str(block.frame[name][first])[:EXAMPLE_LENGTH]!r} in line {block.lines[first]}"
                    self._examples.setdefault((name, reason), example)
                    self._counts[name, reason] += rows.len()

    def warnings(self) -> tuple[str, ...]:
        """A line for each kind."""
        return tuple(
            f"{count:,} × {name} left empty: {reason}; the first is {self._examples[name, reason]}"
            for (name, reason), count in self._counts.items()
        )


def _listed(block: Block, name: str, reason: str, mask: pl.Series) -> list[Reject]:
    values = block.frame[name] if name in block.frame.columns else None
    return [
        Reject(
            line=int(block.lines[row]),
            column=name,
            value="" if values is None or values[row] is None else str(values[row]),
            reason=reason,
            raw=block.raw(row),
        )
        for row in mask.fill_null(False).arg_true()
    ]
