"""What wire models share: requests without unknown fields, parts that are parsed later, and JSON answers."""

from dataclasses import dataclass

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import any_schema, definition_reference_schema, definitions_schema


class RequestModel(BaseModel):
    """Part of a request: a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class ParsedLater:
    """Marks a field that takes any JSON, which a later step parses as `model` or as one of the others; the OpenAPI
    document describes it so.

    pydantic's own SkipValidation would copy the whole schema into each place instead of referring to it by name.
    """

    model: type[BaseModel]
    others: tuple[type[BaseModel], ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Any value at all."""
        return any_schema()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A reference to the model's schema, or to one of several."""
        if self.others:
            each = map(ParsedLater, (self.model, *self.others))
            return {"anyOf": [one.__get_pydantic_json_schema__(schema, handler) for one in each]}
        described = self.model.__pydantic_core_schema__
        if described["type"] == "definitions":
            # A model that contains itself refers to itself already.
            return handler(described)
        return handler(definitions_schema(definition_reference_schema(described["ref"]), [described]))


def json_answer(content: object) -> Response:
    """200 with this in JSON; dataclasses as objects, instants as ISO 8601."""
    return Response(orjson.dumps(content), media_type="application/json")
