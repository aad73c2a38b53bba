"""What a newer executable calls by another name on purpose: `compare` reads the older recording in these words.

Every entry is an intended change; whatever is not listed here counts as a difference.
"""

from collections.abc import Mapping

_MODEL_KEYS = ("warm_start", "max_windows", "parts.linear", "parts.trees", "parts.replenishment")
_SEARCH_KEYS = (
    "factors", "max_factors", "alpha", "regularization", "weighting", "iterations", "penalties", "evennesses"
)  # fmt: skip
"""Dotted names of a report's parameters, which are keys of their own."""

RENAMED_KEYS: Mapping[str, str] = {
    "foretold_ratio": "predicted_to_actual",
    "config.plan": "model",
    "walk": "search_space",
    "rhythm": "interval_ratio",
    "newcomers": "new_products",
    "due": "items",
    "rung": "fallback_level",
    "asked with nothing in the basket": "empty basket",
    "asked with a basket begun": "basket begun",
    "report.findings": "results",
    "foretold": "target",
    "asked_in_visits": "queries_with_views",
    "coupons.measured.foretold_ratio": "coupons.measured.predicted_to_actual",
    **{f"config.plan.{key}": f"config.model.{key}" for key in _MODEL_KEYS},
    **{f"config.plan.walk.{key}": f"config.model.search_space.{key}" for key in _SEARCH_KEYS},
}
"""Old JSON key, table, column or metric to its new name, at any depth; "parent.key" renames it below that parent only
(the parent by its new name)."""

RENAMED_VALUES: Mapping[str, str] = {
    "rhythm": "interval_ratio",
    "not told": "unknown",
}
"""Old text that is a whole value, as a code or a state, to the new one; a text inside a longer one is no value."""

REWORDED: Mapping[str, str] = {
    r"the (channel|store|tier) must be told": r"the \1 must be given",
    r"(.*) comes twice": r"\1 is duplicated",
    r"Usually (every .*)": r"You buy this about \1",
    r"You bought this before, last (.*)": r"You last bought this \1",
    r"Often bought with (.*) you looked at": r"Often bought with \1, which you viewed",
}
"""Regular expression of a whole old text to what it reads now, groups as \\1, \\2, …"""

ONLY_BEFORE: frozenset[str] = frozenset()
"""Keys that the newer executable leaves out, written like those of RENAMED_KEYS."""

ONLY_AFTER: frozenset[str] = frozenset()
"""Keys that the newer executable adds."""

TEXT_KEYS = frozenset({"text", "detail", "title"})
"""Keys of texts for people; `--ignore-text` compares none of them."""
