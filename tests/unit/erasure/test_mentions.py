"""A text names a person where an id of theirs is a whole word, however its format writes it."""

import csv
import html
import io
import json

import pytest

from app.customers.keys import PersonKeys
from app.erasure.mentions import ERASED, Mentions

AWKWARD = ["90", "O'Neill", 'a"b', "a/b\\c", "Käthe 東京", "ann@shop.example", "<x>&y", "-1-", "(k)", "a b", "."]


def _mentions(*names: str) -> Mentions:
    return Mentions(PersonKeys(frozenset(names)))


def _csv(name: str) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(["x", name, "y"])
    return line.getvalue()


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize(
    "written",
    [
        lambda name: f"x,{name},y",
        lambda name: f"{name};1",
        lambda name: json.dumps({"c": name}),
        lambda name: json.dumps({"c": name}, ensure_ascii=False),
        _csv,
        lambda name: f"<c>{html.escape(name)}</c>",
        lambda name: f"<c>{html.escape(name, quote=False)}</c>",
    ],
)
def test_an_id_is_found_as_formats_write_it(name: str, written: object) -> None:
    assert callable(written)
    assert _mentions("someone", name).are_in(written(name))


@pytest.mark.parametrize("text", ["900", "x90", "190,1", "90_1", "ä90", ""])
def test_a_longer_word_is_another_id(text: str) -> None:
    assert not _mentions("90").are_in(text)


def test_nobody_is_named_nowhere() -> None:
    assert not _mentions().are_in("90")


def test_a_document_loses_the_texts_that_name_the_person() -> None:
    document = {"a": ["id 90", "id 900", 90, None], "90": {"b": "x"}}
    assert _mentions("90").erased(document) == {"a": [ERASED, "id 900", 90, None], ERASED: {"b": "x"}}
    assert list(_mentions("90").texts(document)) == ["id 90", "90"]
