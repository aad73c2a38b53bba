"""What the demo asks its own service, by the standard library alone."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import JsonObject

DECISIONS = "/v1/decisions"
TIMEOUT_S = 10.0


class DemoFailure(Exception):
    """The service came up, but does not do what the demo is to show."""


@dataclass(frozen=True, slots=True)
class Client:
    """Requests to one service; what does not answer, or refuses, raises OSError."""

    base: str
    api_key: str | None

    def get(self, path: str) -> JsonObject:
        """The answer to a GET."""
        return self._send("GET", path, body=None, headers={})

    def post(self, path: str, body: Mapping[str, object], *, key: str | None = None) -> JsonObject:
        """The answer to a POST; `key` makes a write safe to repeat."""
        return self._send("POST", path, body, {} if key is None else {"Idempotency-Key": key})

    def put(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """The answer to a PUT."""
        return self._send("PUT", path, body, headers={})

    def delete(self, path: str) -> JsonObject:
        """The answer to a DELETE."""
        return self._send("DELETE", path, body=None, headers={})

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> JsonObject:
        headers = {"Content-Type": "application/json", **headers}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            answer: JsonObject = json.load(response)
            return answer
