"""Bodies of requests that were received before whoever wants them next."""

from starlette.types import Message, Receive


def replayed(messages: list[Message], receive: Receive) -> Receive:
    """Gives the messages that were received already, then those still to come."""
    received = iter(messages)

    async def receive_again() -> Message:
        return next(received, None) or await receive()

    return receive_again
