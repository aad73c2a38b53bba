"""Two recordings become the list of their differences, each with its path; intended renames are none."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.behaviour import renames

TOLERANCE = 1e-9
"""Relative; the absolute one is a thousandth of it, for numbers around 0."""


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where recordings differ; MISSING stands for what one of them lacks."""

    path: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.before)} -> {_short(self.after)}"


@dataclass(frozen=True, slots=True)
class Renames:
    """What changed on purpose; the defaults are the tables of `renames.py`, which explains each."""

    keys: Mapping[str, str] = field(default_factory=lambda: renames.RENAMED_KEYS)
    values: Mapping[str, str] = field(default_factory=lambda: renames.RENAMED_VALUES)
    texts: Mapping[str, str] = field(default_factory=lambda: renames.REWORDED)
    only_before: frozenset[str] = renames.ONLY_BEFORE
    only_after: frozenset[str] = renames.ONLY_AFTER

    def applied(self, value: Any, parent: str = "") -> Any:
        """The older recording in the newer one's words."""
        if isinstance(value, dict):
            named = ((self._key(key, parent), inner) for key, inner in value.items())
            return {key: self.applied(inner, key) for key, inner in named}
        if isinstance(value, list):
            return [self.applied(inner, parent) for inner in value]
        return self._text(value) if isinstance(value, str) else value

    def _key(self, key: str, parent: str) -> str:
        return self.keys.get(f"{parent}.{key}", self.keys.get(key, key))

    def _text(self, text: str) -> str:
        if text in self.values:
            return self.values[text]
        for old, new in self.texts.items():
            if found := re.fullmatch(old, text):
                return found.expand(new)
        return text


def differences(
    before: object, after: object, changed: Renames | None = None, *, ignore_text: bool = False
) -> Iterator[Difference]:
    """Every difference between two recordings, in the order of the older one, apart from what `changed` intends."""
    changed = changed or Renames()
    ignored = renames.TEXT_KEYS if ignore_text else frozenset()
    yield from _Comparison(changed, ignored).between(changed.applied(before), after, path="", parent="")


@dataclass(frozen=True, slots=True)
class _Comparison:
    changed: Renames
    ignored: frozenset[str]

    def between(self, before: Any, after: Any, *, path: str, parent: str) -> Iterator[Difference]:
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._between_objects(before, after, path=path, parent=parent)
        elif isinstance(before, list) and isinstance(after, list):
            yield from self._between_lists(before, after, path=path, parent=parent)
        elif not _is_same(before, after):
            yield Difference(path or "recording", before, after)

    def _between_objects(
        self, before: Mapping[str, Any], after: Mapping[str, Any], *, path: str, parent: str
    ) -> Iterator[Difference]:
        for key in [*before, *(key for key in after if key not in before)]:
            if key in self.ignored:
                continue
            inner = f"{path}.{key}" if path else key
            if key not in after:
                if not _is_among(self.changed.only_before, key, parent):
                    yield Difference(inner, before[key], MISSING)
            elif key not in before:
                if not _is_among(self.changed.only_after, key, parent):
                    yield Difference(inner, MISSING, after[key])
            else:
                yield from self.between(before[key], after[key], path=inner, parent=key)

    def _between_lists(
        self, before: Sequence[Any], after: Sequence[Any], *, path: str, parent: str
    ) -> Iterator[Difference]:
        for position in range(max(len(before), len(after))):
            old = before[position] if position < len(before) else MISSING
            new = after[position] if position < len(after) else MISSING
            yield from self.between(old, new, path=f"{path}[{position}]", parent=parent)


def summary(found: Sequence[Difference]) -> list[str]:
    """How many differences there are at each kind of place, most first: paths without the numbers of list entries."""
    paths = Counter(re.sub(r"\[\d+\]", "[]", one.path) for one in found)
    return [f"{count:7} {path}" for path, count in paths.most_common()]


def _is_among(keys: frozenset[str], key: str, parent: str) -> bool:
    return key in keys or f"{parent}.{key}" in keys


def _is_same(before: object, after: object) -> bool:
    if _is_number(before) and _is_number(after):
        return math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 1000)  # type: ignore[arg-type]
    return type(before) is type(after) and before == after


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 200 else f"{shown[:199]}…"
