"""The body of a decision that a page or an app wants: about its own person alone, and nothing of the retailer's."""

from typing import Any

import orjson
from fastapi import Response

from app.api.pages.tokens import Person
from app.api.problems import problem
from app.domain import JsonObject

OF_THE_RETAILER = (("explain",), ("objective",), ("context", "now"))
"""Fields that no page may give: why something ranks, what earns most, and which campaigns are to come."""


def own_question(body: bytes, person: Person) -> bytes | Response:
    """The body with the token's person in it, for whoever parses it next; or why it is refused.

    Written again even where nothing changes: what was checked here is what is read there, whatever parser reads it.
    """
    try:
        question = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return problem(400, "malformed_json", f"the body is no JSON: {error}")
    if isinstance(question, dict):
        for path in OF_THE_RETAILER:
            if _is_given(question, path):
                detail = f"{'.'.join(path)} is for the retailer's own servers; leave it out"
                return problem(403, "not_for_pages", detail, pointer="/" + "/".join(path))
        other = fill_in(question, person)
        if other is not None:
            return problem(403, "other_person", f"{other} is not the one of the token", pointer=f"/{other}")
    return orjson.dumps(question)


def fill_in(body: JsonObject, person: Person) -> str | None:
    """Puts the person into a body that names nobody; the name of the id that is not the person's, if one is not."""
    named = {name: body[name] for name in Person._fields if body.get(name) is not None}
    for name, given in named.items():
        own = getattr(person, name)
        if own is None or not isinstance(given, str) or given.strip() != own:
            return name
        body[name] = own
    if not named:
        body.update(person._asdict())
    return None


def _is_given(question: JsonObject, path: tuple[str, ...]) -> bool:
    """Whether the field says anything: its default says nothing."""
    value: Any = question
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value is not None and value is not False
