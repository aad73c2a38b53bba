"""The names of a table's columns, read without regard to case and blanks around them."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import shorten

from app.errors import BadInput

FOUND_LENGTH = 300
"""So many characters of the names that there are stand in an error."""


def plain_name(name: str) -> str:
    """In lower case, without blanks around it and without what Polars takes for a pattern of several names."""
    plain = name.strip().lower()
    return plain.strip("^$*") if plain == "*" or plain.startswith("^") else plain


def column_names(path: Path, names: Sequence[str], *, needed: Collection[str]) -> tuple[str, ...]:
    """One name a column; of several with one name the later ones get a number, unless the name is `needed`."""
    # Spreadsheets leave nameless columns behind; they are nobody's.
    columns = [plain_name(name) or f"column {position}" for position, name in enumerate(names, start=1)]
    double = [name for name, count in Counter(columns).items() if count > 1 and name in needed]
    if double:
        raise BadInput(f"{path}: column {double[0]!r} is duplicated in the header; keep one")
    seen: Counter[str] = Counter()
    numbered = []
    for name in columns:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(numbered)


def listed(columns: Sequence[str]) -> str:
    """The names for an error, as many as fit."""
    return shorten(", ".join(columns), FOUND_LENGTH, placeholder=" …")


def check_compulsory(path: Path, columns: Sequence[str], compulsory: Collection[str]) -> None:
    """Raises BadInput where a compulsory column is not there, saying which are."""
    for name in compulsory:
        if name not in columns:
            raise BadInput(
                f"{path}: no column {name!r} in the header ({listed(columns)}); rename or add it, see docs/import.md"
            )
