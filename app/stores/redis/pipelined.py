"""One connection to Redis, shared by all requests: questions are written as they come, answers come in their order.

The two reads of a decision cost 75 µs through redis-py's pipeline, 35 µs through its connection, 15 µs here
(docs/decisions/0008). Commands come packed (`app.stores.redis.keys.pack_command`); workers and commands use redis-py.
"""

import asyncio
import ssl
from collections import deque
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

from app.stores.redis.keys import pack_command, why_refused

CONNECT_TIMEOUT_S = 0.5
SILENCE_S = 1.0
"""A connection whose oldest question waits this long is given up: an answer that late helps nobody."""


class _Answers(asyncio.Protocol):
    """Hands each answer to the oldest question; a question nobody waits for any more takes its answers all the same."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[list[Any]], int, float]] = deque()
        self._received: list[Any] = []
        self.transport: asyncio.Transport | None = None

    @property
    def is_usable(self) -> bool:
        """False once the connection is lost or has been silent for too long; then it is closed."""
        if self.transport is None or self.transport.is_closing():
            return False
        if self._waiting and monotonic() - self._waiting[0][2] > SILENCE_S:
            # close() would first wait until what is buffered is sent, which a silent server never lets happen.
            self.transport.abort()
            return False
        return True

    def ask(self, packed: bytes, count: int) -> "asyncio.Future[list[Any]]":
        """The `count` answers to the commands in `packed`, once they are all there."""
        assert self.transport is not None
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, count, monotonic()))
        self.transport.write(packed)
        return future

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        # uvloop's transports are of the right shape, not of asyncio's class.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with whatever arrived."""
        self._reader.feed(data)
        # gets() returns False until a whole answer is there; None is an answer.
        while (answer := self._reader.gets()) is not False:
            self._received.append(answer)
            future, count, _ = self._waiting[0]
            if len(self._received) == count:
                self._waiting.popleft()
                _settle(future, self._received)
                self._received = []

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop; every question still open fails."""
        for future, _, _ in self._waiting:
            if not future.done():
                future.set_exception(ConnectionError(f"Redis closed the connection ({exc!r})"))
                _mark_seen(future)
        self._waiting.clear()


def _mark_seen(future: "asyncio.Future[list[Any]]") -> None:
    """Or asyncio would log the error of a question that nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _settle(future: "asyncio.Future[list[Any]]", answers: list[Any]) -> None:
    if future.done():
        return
    for answer in answers:
        # hiredis returns a refused command's error as a value and does not raise it.
        if isinstance(answer, hiredis.ReplyError):
            future.set_exception(ConnectionError(why_refused(answer)))
            _mark_seen(future)
            return
    future.set_result(answers)


def _tls(query: str) -> ssl.SSLContext:
    """What the URL says of certificates, in the words of redis-py; without a word the machine's authorities count."""
    files = dict(parse_qsl(query))
    context = ssl.create_default_context(cafile=files.get("ssl_ca_certs"))
    if "ssl_certfile" in files:
        context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"))
    return context


class PipelinedRedis:
    """Connects on the first question and again after a loss; raises OSError where Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._answers: _Answers | None = None
        self._connecting = asyncio.Lock()

    def ask(self, packed: bytes, count: int) -> "asyncio.Future[list[Any]]":
        """A future of the `count` answers to the commands in `packed`; it is never cancelled, only left alone."""
        if self._answers is not None and self._answers.is_usable:
            return self._answers.ask(packed, count)
        asking = asyncio.ensure_future(self._connect_and_ask(packed, count))
        asking.add_done_callback(_mark_seen)
        return asking

    async def _connect_and_ask(self, packed: bytes, count: int) -> list[Any]:
        # Of all who find the connection lost at one moment only the first opens a new one.
        async with self._connecting:
            if self._answers is None or not self._answers.is_usable:
                # Cancelling is harmless here: nobody else uses this connection yet.
                self._answers = await asyncio.wait_for(self._connected(), CONNECT_TIMEOUT_S)
        return await self._answers.ask(packed, count)

    async def _connected(self) -> _Answers:
        host, port = self._url.hostname or "localhost", self._url.port or 6379
        tls = _tls(self._url.query) if self._url.scheme == "rediss" else None
        transport, answers = await asyncio.get_running_loop().create_connection(_Answers, host, port, ssl=tls)
        try:
            greeting = self._greeting()
            await answers.ask(b"".join(greeting), len(greeting))
        # Also when wait_for() cancels this: a connection without its greeting must not stay open.
        except BaseException:
            transport.abort()
            raise
        return answers

    def _greeting(self) -> list[bytes]:
        commands = [pack_command(b"SELECT", (self._url.path.strip("/") or "0").encode())]
        if self._url.password:
            names = [unquote(self._url.username).encode()] if self._url.username else []
            # AUTH must come before all else.
            commands.insert(0, pack_command(b"AUTH", *names, unquote(self._url.password).encode()))
        return commands

    async def aclose(self) -> None:
        """Closes the connection; questions still open fail."""
        if self._answers is not None and self._answers.transport is not None:
            self._answers.transport.close()
