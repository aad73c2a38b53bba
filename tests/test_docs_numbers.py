"""Every number on a page that the code decides, compared with the code."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from app.decision.customer import foldin
from app.decision.ranking import scoring
from app.decision.ranking.features import COLUMNS
from app.model.bundle import HEAD_COUNTS
from app.settings import Settings
from app.stores.redis.breaker import Breaker
from tests.test_docs import DOCS


def field_default(model: type[Any], name: str) -> Any:
    """The default of a field of a model."""
    return model.model_fields[name].default


def argument_default(function: Callable[..., Any], name: str) -> Any:
    """The default of a parameter."""
    return inspect.signature(function).parameters[name].default


def setting(name: str) -> Any:
    """The default of a setting."""
    return field_default(Settings, name)


def in_words(number: int) -> str:
    """A small number as prose has it."""
    words = "zero one two three four five six seven eight nine ten eleven twelve"
    return words.split(" ")[number]


STATEMENTS: dict[str, list[str]] = {
    "degradation.md": [
        f"features after {setting('feature_timeout_ms')} ms",
        f"rejected after {setting('ingest_timeout_ms')} ms",
        f"after {argument_default(Breaker, 'trip_count')} failures in a row",
        f"tried once in {argument_default(Breaker, 'open_s')} s",
    ],
    "decisions/0002-no-customers-in-bundles.md": [f"the {foldin.MAX_ITEM_COUNT} strongest purchases"],
    "decisions/0004-redis-on-the-request-path.md": [
        f"After {in_words(argument_default(Breaker, 'trip_count'))} failures in a row",
    ],
    "decisions/0007-exact-search-longest-first.md": [
        "the first {:,} rows, through an id selector that carries the filter, then {:,}, {:,} and all".format(
            *HEAD_COUNTS
        )
    ],
    "decisions/0009-trees-correct-the-blend.md": [
        f"a linear blend of at most {in_words(len(COLUMNS))} columns",
        f"on its {scoring.RANKED_COUNT} best candidates",
    ],
}
"""Per page what it says, with the numbers of the code: change both together."""


@pytest.mark.parametrize("page", STATEMENTS)
def test_page_states_the_numbers_of_the_code(page: str) -> None:
    said = " ".join((DOCS / page).read_text().split())
    assert not [text for text in STATEMENTS[page] if text not in said]
