"""Whether a text whose columns nobody knows any more names a person: a refused line, an example in a report."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from app.customers.keys import PersonKeys
from app.domain import JsonObject

ERASED = "(erased)"


class Mentions:
    """Finds the ids of one person as whole words, as text formats write them.

    It finds too much rather than too little: 90 in "90 pieces", never in 900. What it decides on may go without harm.
    """

    def __init__(self, keys: PersonKeys) -> None:
        written = {form for each in keys.customer_ids | keys.anonymous_ids for form in _forms(each)}
        # The longest first, because the first alternative that fits is taken.
        whole = "|".join(_as_word(form) for form in sorted(written, key=len, reverse=True))
        self._pattern = re.compile(whole) if whole else None

    def are_in(self, text: str) -> bool:
        """Whether the text names the person."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def texts(self, document: object) -> Iterator[str]:
        """Every text in a JSON document that names the person, names of fields included."""
        if isinstance(document, str):
            if self.are_in(document):
                yield document
        elif isinstance(document, dict):
            for name, value in document.items():
                yield from self.texts(name)
                yield from self.texts(value)
        elif isinstance(document, list):
            for each in document:
                yield from self.texts(each)

    def erased(self, document: JsonObject) -> JsonObject:
        """The document with ERASED in the place of every such text."""
        return {self._without(name): self._without(value) for name, value in document.items()}

    def _without(self, value: Any) -> Any:
        if isinstance(value, str):
            return ERASED if self.are_in(value) else value
        if isinstance(value, list):
            return [self._without(each) for each in value]
        return self.erased(value) if isinstance(value, dict) else value


def _forms(name: str) -> set[str]:
    """The id as it is, as in JSON, in a quoted field of a CSV file, and in XML."""
    json_forms = {json.dumps(name, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {name, *json_forms, name.replace('"', '""'), html.escape(name), html.escape(name, quote=False)}


def _as_word(form: str) -> str:
    before = r"(?<!\w)" if re.match(r"\w", form) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", form) else ""
    return f"{before}{re.escape(form)}{after}"
