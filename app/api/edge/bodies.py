"""Bodies of requests that were received before whoever wants them next."""

import re
from collections.abc import Mapping

from starlette.types import Message, Receive

TAKE_FILES = re.compile("POST /v1/imports|PUT /v1/imports/mappings/[^/]+")
"""Routes that read the body themselves, bit by bit, whatever its type, and bound it themselves."""


def takes_file(scope: Mapping[str, object]) -> bool:
    """Whether the request brings a file."""
    return TAKE_FILES.fullmatch(f"{scope['method']} {scope['path']}") is not None


def replayed(messages: list[Message], receive: Receive) -> Receive:
    """Gives the messages that were received already, then those still to come."""
    received = iter(messages)

    async def receive_again() -> Message:
        return next(received, None) or await receive()

    return receive_again
