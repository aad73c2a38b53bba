"""What a newer executable calls by another name on purpose: `compare` reads the older recording in these words.

Every entry is an intended change; whatever is not listed here counts as a difference.
"""

from collections.abc import Mapping

RENAMED_KEYS: Mapping[str, str] = {}
"""Old JSON key, table, column or metric to its new name, at any depth; "parent.key" renames it below that parent only
(the parent by its new name)."""

RENAMED_VALUES: Mapping[str, str] = {}
"""Old text that is a whole value, as a code or a state, to the new one; a text inside a longer one is no value."""

REWORDED: Mapping[str, str] = {}
"""Regular expression of a whole old text to what it reads now, groups as \\1, \\2, …"""

ONLY_BEFORE: frozenset[str] = frozenset()
"""Keys that the newer executable leaves out, written like those of RENAMED_KEYS."""

ONLY_AFTER: frozenset[str] = frozenset()
"""Keys that the newer executable adds."""

TEXT_KEYS = frozenset({"text", "detail", "title"})
"""Keys of texts for people; `--ignore-text` compares none of them."""
