"""Requests to a running service, and what was answered, written down in stable names."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import httpx

from benchmarks.behaviour.stable import StableNames

JSON_TYPES = ("application/json", "application/problem+json")
PATIENCE_S = 120.0


@dataclass(slots=True)
class Recorder:
    """Sends requests and keeps one entry for each; answers come back as they were, with this run's ids.

    Every write gets an Idempotency-Key, `prefix` and its number, unless one is given.
    """

    client: httpx.Client
    names: StableNames
    prefix: str = "key"
    entries: list[dict[str, Any]] = field(default_factory=list)

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The document at a path."""
        return self._send("GET", path, parameters=parameters)

    def ask(self, path: str, body: object) -> Any:
        """A POST that changes nothing, so without a key."""
        return self._send("POST", path, body=body)

    def write(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Any:
        """A write."""
        key = key or f"{self.prefix}-{len(self.entries)}"
        return self._send(method, path, body=body, headers={"Idempotency-Key": key})

    def send_text(self, path: str, text: str) -> Any:
        """A POST of this very text."""
        return self._send("POST", path, content=text, headers={"Content-Type": "application/json"})

    def wait_for(self, path: str, is_there: Callable[[Any], bool]) -> None:
        """Returns once the document at a path is as expected, which is not written down; SystemExit after a while."""
        deadline = monotonic() + PATIENCE_S
        while monotonic() < deadline:
            response = self.client.get(path)
            if response.status_code == 200 and is_there(response.json()):
                return
            sleep(0.2)
        raise SystemExit(f"{path} is not as expected after {PATIENCE_S:.0f} s: {response.text[:2000]}")

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content: str | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        now = datetime.now(UTC)
        response = self.client.request(method, path, json=body, content=content, params=parameters, headers=headers)
        document, kept = _document(response)
        entry: dict[str, Any] = {"request": f"{method} {path}", "status": response.status_code, "answer": kept}
        sent = {"body": body if content is None else content, "parameters": parameters, "headers": headers}
        entry |= {name: value for name, value in sent.items() if value is not None}
        if "idempotent-replayed" in response.headers:
            entry["replayed"] = response.headers["idempotent-replayed"]
        self.entries.append(self.names.clean(entry, now=now))
        return document


def _document(response: httpx.Response) -> tuple[Any, Any]:
    """What was answered, and what of it is kept: of a picture its type, since codes are random."""
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type in JSON_TYPES:
        document = json.loads(response.content)
        return document, document
    return response.content, {"media_type": media_type}


def find(document: Any, key: str) -> Any:
    """The first value under this key, at any depth; raises LookupError with the document when there is none."""
    for value in values(document, key):
        return value
    raise LookupError(f"no {key} in {json.dumps(document)[:500]}")


def values(document: Any, key: str) -> Iterator[Any]:
    """Every value under this key that is not null, at any depth."""
    if isinstance(document, dict):
        if document.get(key) is not None:
            yield document[key]
        for inner in document.values():
            yield from values(inner, key)
    elif isinstance(document, list):
        for inner in document:
            yield from values(inner, key)
