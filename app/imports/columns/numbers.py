"""Numbers as shops write them: with a decimal comma, groups of thousands, currency signs, brackets for minus."""

import re
from dataclasses import dataclass

import polars as pl

from app.imports.columns.currencies import CODES, SIGNS

POINT, COMMA = "point", "comma"

_SIGNED = "|".join([*(re.escape(sign) for sign in sorted(SIGNS, key=len, reverse=True)), "[A-Z]{3}"])
_MONEY = rf"(?i:{_SIGNED})"
_BLANKS = "[\\s\u00a0\u202f\u2009'’]"
_POINT_ONLY = (
    r"^-?\d{1,3}(,\d{3})+\.\d*$|^-?\d{1,3}(,\d{3}){2,}$|^-?\d*\.\d{0,2}$|^-?\d*\.\d{4,}$|^-?\d{4,}\.\d+$|^-?0?\.\d+$"
)
_COMMA_ONLY = (
    r"^-?\d{1,3}(\.\d{3})+,\d*$|^-?\d{1,3}(\.\d{3}){2,}$|^-?\d*,\d{0,2}$|^-?\d*,\d{4,}$|^-?\d{4,},\d+$|^-?0?,\d+$"
)
_EITHER = r"^-?\d{1,3}[.,]\d{3}$"


@dataclass(frozen=True, slots=True)
class NumberEvidence:
    """How many numbers of a column can be read with a decimal point alone, with a comma alone, and with either."""

    point: int = 0
    comma: int = 0
    either_comma: str = ""
    """One that is written 1,234."""
    either_point: str = ""
    """One that is written 1.234."""

    def __add__(self, other: "NumberEvidence") -> "NumberEvidence":
        return NumberEvidence(
            self.point + other.point,
            self.comma + other.comma,
            self.either_comma or other.either_comma,
            self.either_point or other.either_point,
        )

    def style(self) -> str | None:
        """`POINT` or `COMMA`, as most say; None where the numbers could mean either."""
        if self.comma != self.point:
            return COMMA if self.comma > self.point else POINT
        return None if self.either_comma or self.point else POINT


def number_evidence(raw: pl.Series) -> NumberEvidence:
    """What the column's text says of its style; numbers that a file types as such say nothing."""
    if raw.dtype != pl.String:
        return NumberEvidence()
    # Most files hold plain numbers, which cost one cast.
    bare = raw if _is_plain(raw) else _bare(raw)
    either = bare.filter(bare.str.contains(_EITHER))
    return NumberEvidence(
        int(bare.str.contains(_POINT_ONLY).sum()),
        int(bare.str.contains(_COMMA_ONLY).sum()),
        next(iter(either.filter(either.str.contains(",", literal=True)).head(1)), ""),
        next(iter(either.filter(either.str.contains(".", literal=True)).head(1)), ""),
    )


def _is_plain(raw: pl.Series) -> bool:
    """Whether all that stands there is a number as programs write it, of which nothing has to be taken away."""
    is_bare = not raw.str.contains("+", literal=True).any()
    return is_bare and raw.cast(pl.Float64, strict=False).null_count() == raw.null_count()


def plain(raw: pl.Series, style: str) -> pl.Series:
    """The text with numbers as 1234.56; what is no number in that style stays as it is."""
    if raw.dtype != pl.String:
        return raw
    if style == POINT:
        odd = (raw.cast(pl.Float64, strict=False).is_null() & raw.is_not_null()).arg_true()
    else:
        odd = raw.is_not_null().arg_true()
    if not odd.len():
        return raw
    bare = _bare(raw.gather(odd))
    group, point = (",", ".") if style == POINT else (".", ",")
    is_number = bare.str.contains(rf"^-?(\d{{1,3}}(\{group}\d{{3}})+|\d*)(\{point}\d*)?$") & bare.str.contains(r"\d")
    read = bare.str.replace_all(group, "", literal=True).str.replace(point, ".", literal=True)
    return raw.clone().scatter(odd, read.zip_with(is_number.fill_null(False), raw.gather(odd)))


def currency_of(raw: pl.Series) -> pl.Series:
    """The currency that stands next to each number, as its sign or its code; null where none does."""
    if raw.dtype != pl.String:
        return pl.repeat(None, raw.len(), dtype=pl.String, eager=True)
    word = raw.str.replace_all(rf"[\d.,()+\-]|{_BLANKS}", "")
    named = word.str.to_uppercase().replace_strict(SIGNS, default=None, return_dtype=pl.String)
    return pl.select(pl.coalesce(named, word.set(~word.is_in(list(CODES)), None))).to_series()


def _bare(raw: pl.Series) -> pl.Series:
    """Digits, separators and a minus in front: without blanks and currency, and brackets or a minus behind as such."""
    bare = raw.str.replace_all(_BLANKS, "").str.replace(rf"^([-+(]?){_MONEY}", "$1")
    bare = bare.str.replace(rf"{_MONEY}(\)?-?)$", "$1").str.strip_prefix("+")
    bare = bare.str.replace(r"^\((.*)\)$", "-$1").str.replace(r"^([^-].*)-$", "-$1")
    return bare.str.replace(rf"^-{_MONEY}", "-")
