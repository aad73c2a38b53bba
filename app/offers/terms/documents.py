"""Documents of offers and campaigns as they come in: checked whole, a sentence and a pointer for the first fault."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from app.errors import InvalidTerms, pointer_to
from app.offers.terms.conditions import TOO_DEEP

UNIONS: Mapping[str, str] = {"discount": "type", "condition": "type", "of": "type", "issue": "by"}
"""The fields that hold one of several kinds, and the member that names the kind."""

Model = TypeVar("Model", bound=BaseModel)


def parse_document(model: type[Model], raw: object, prefix: str = "") -> Model:
    """The document as a model; raises InvalidTerms, its pointer beginning with `prefix`.

    `raw` is decoded JSON. Numbers must be numbers and whole ones whole: an amount of "500", 5.0 or true is refused.
    """
    try:
        # By way of JSON, because strict validation of Python objects refuses instants as text and lists for tuples.
        return model.model_validate_json(to_json(raw), strict=True)
    except PydanticSerializationError:
        raise InvalidTerms("the document is nested too deeply", pointer=prefix or None) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fault = fault_of(error, prefix)
    # pydantic's own parser gives up on what to_json() could still write.
    if first["type"] in ("json_invalid", "recursion_loop"):
        raise InvalidTerms("the document is nested too deeply", pointer=prefix or None)
    raise InvalidTerms(fault, pointer=prefix + _fault(first) or None)


def fault_of(error: ValidationError, prefix: str = "") -> str:
    """The first fault in one sentence that begins with its pointer."""
    first = error.errors(include_url=False)[0]
    return f"{prefix + _fault(first) or 'document'}: {_sentence(first)}"


def pointer_of(loc: Iterable[int | str]) -> str:
    """The JSON pointer of pydantic's location, without the kinds that it puts after the fields in `UNIONS`."""
    path: list[int | str] = []
    is_kind_next = False
    for part in loc:
        if is_kind_next and isinstance(part, str):
            is_kind_next = False
            continue
        path.append(part)
        is_kind_next = part in UNIONS or (is_kind_next and isinstance(part, int))
    return pointer_to(path)


def _fault(error: ErrorDetails) -> str:
    """The pointer to the fault: for an unknown kind to its name, for too deep a tree to the whole of it."""
    loc = error["loc"]
    if _sentence(error) == TOO_DEEP:
        loc = loc[: loc.index("condition") + 1]
    pointer = pointer_of(loc)
    if not error["type"].startswith("union_tag_"):
        return pointer
    field = next(part for part in reversed(loc) if isinstance(part, str))
    return f"{pointer}/{UNIONS[field]}"


def _sentence(error: ErrorDetails) -> str:
    """The fault in words, in the manner of pydantic's."""
    context: Mapping[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "union_tag_invalid":
            return f"Input should be one of {context['expected_tags']}"
        case "union_tag_not_found":
            return "Field required"
        case "value_error":
            return str(context["error"])
        case "recursion_depth_exceeded":
            return TOO_DEEP
        case _:
            return error["msg"]
