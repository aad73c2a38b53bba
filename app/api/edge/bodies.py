"""Bodies of requests that were received before whoever wants them next."""

from collections.abc import Mapping

from starlette.types import Message, Receive

TAKE_FILES = frozenset({("POST", "/v1/imports")})
"""Routes that read the body themselves, bit by bit, whatever its type, and bound it themselves."""


def takes_file(scope: Mapping[str, object]) -> bool:
    """Whether the request brings a file."""
    return (scope["method"], scope["path"]) in TAKE_FILES


def replayed(messages: list[Message], receive: Receive) -> Receive:
    """Gives the messages that were received already, then those still to come."""
    received = iter(messages)

    async def receive_again() -> Message:
        return next(received, None) or await receive()

    return receive_again
