"""A document as the answer to a request."""

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict


class Sent(BaseModel):
    """Part of a request: nothing in it is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def json_answer(told: object) -> Response:
    """200 with this in JSON; dataclasses as objects, instants as ISO 8601."""
    return Response(orjson.dumps(told), media_type="application/json")
