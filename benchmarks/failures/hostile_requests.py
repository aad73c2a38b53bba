"""Requests that are wrong in one to three places each, made from the service's own OpenAPI document and a seed."""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, quote_from_bytes
from uuid import uuid4

from benchmarks.failures.hostile_values import (
    DEPTHS,
    HEADERS,
    LONG,
    MEDIA_TYPES,
    NAMES,
    NUMBERS,
    PARTS,
    TEXTS,
    TIMES,
    WRONG_TYPES,
    spoiled_bytes,
)
from benchmarks.failures.sound_requests import Known, places_of, sound_body, sound_parameter

START_PROCESSES = {"/v1/imports", "/v1/imports/{import_id}/undo", "/v1/imports/mappings/{mapping}"}
"""Left out: few may wait at a time, and a file is no JSON (tests/api/imports)."""
ERASURE = ("delete", "/v1/customers/{customer_id}")
"""Takes back what was accepted and answered, which is what these requests are checked by."""
WRITES = ("/v1/events", "/v1/redemptions", "/v1/reservations")
"""Sent more often than others, because what they answer must be kept."""
MAX_BODY_BYTES = 990_000
"""Just below what the service takes: a larger body is refused unread, and tries nothing."""
MARK = "\ue000"
"""Around the number of a fragment while it stands in a document as a text."""


@dataclass(slots=True)
class HostileRequest:
    """One request as its bytes; `what` names the places where it is wrong."""

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes | None
    what: list[str] = field(default_factory=list)

    def head(self) -> bytes:
        """Its first lines, which end the connection."""
        length = {} if self.body is None else {b"Content-Length": b"%d" % len(self.body)}
        headers = {b"Host": b"endcap", b"Connection": b"close"} | length | self.headers
        lines = [b"%s: %s" % header for header in headers.items()]
        return b"\r\n".join([b"%s %s HTTP/1.1" % (self.method.encode(), self.target), *lines, b"", b""])


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    described: Mapping[str, Any]


def hostile_requests(document: Mapping[str, Any], known: Known, *, count: int, seed: int) -> Iterator[HostileRequest]:
    """So many requests, every operation in turn."""
    random = Random(seed)
    operations = [
        _Operation(method, path, described)
        for path, methods in sorted(document["paths"].items())
        if path not in START_PROCESSES
        for method, described in methods.items()
        if (method, path) != ERASURE
        for _ in range(4 if path in WRITES else 1)
    ]
    for number in range(count):
        yield _request(operations[number % len(operations)], document, known, random)


def _request(operation: _Operation, document: Mapping[str, Any], known: Known, random: Random) -> HostileRequest:
    parameters = operation.described.get("parameters", ())
    values = {one["name"]: sound_parameter(one, known, random) for one in parameters}
    places: list[Callable[[], str]] = []
    request = HostileRequest(operation.method.upper(), b"", {}, None)

    def spoil_parameter(name: str) -> str:
        values[name] = random.choice(PARTS)
        return name

    for one in parameters:
        if one["in"] != "header":
            places.append(lambda name=one["name"]: spoil_parameter(name))  # type: ignore[misc]
    if any(one["in"] == "header" for one in parameters):
        request.headers[b"Idempotency-Key"] = uuid4().hex.encode()
    places.append(lambda: _spoil_header(request, random))
    content = operation.described.get("requestBody")
    fragments: list[str] = []
    if content is not None:
        request.headers[b"Content-Type"] = b"application/json"
        body = sound_body(content["content"]["application/json"]["schema"], document, known, random)
        # Most of what a request says is in its body.
        places += [lambda: _spoil_body(body, fragments, random)] * (5 * len(places))
    for spoil in random.choices(places, k=random.choice((1, 1, 1, 2, 3))):
        request.what.append(spoil())
    if content is not None:
        request.body = _written(body, fragments).encode()[:MAX_BODY_BYTES]
        if random.random() < 0.1:
            what, request.body = spoiled_bytes(request.body, random)
            request.what.append(what)
    request.target = _target(operation, parameters, values)
    return request


def _spoil_header(request: HostileRequest, random: Random) -> str:
    name = random.choice((b"X-Request-Id", b"Authorization", b"Content-Type", b"Accept", b"Idempotency-Key"))
    request.headers[name] = random.choice(MEDIA_TYPES if name == b"Content-Type" else HEADERS)
    return name.decode()


def _target(operation: _Operation, parameters: Any, values: Mapping[str, bytes | None]) -> bytes:
    path = operation.path
    query = []
    for one in parameters:
        value = values.get(one["name"])
        if value is None:
            continue
        quoted = quote_from_bytes(value, safe="")
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quoted)
        elif one["in"] == "query":
            query.append(f"{quote(one['name'])}={quoted}")
    return (path + ("?" + "&".join(query) if query else "")).encode()


def _spoil_body(body: Any, fragments: list[str], random: Random) -> str:
    """Changes one place of a document; what no document can hold stands there as the number of its fragment."""
    places = list(places_of(body))
    if not places:
        return "empty body"
    parent, key, pointer = random.choice(places)
    change = random.choice((_replace, _replace, _replace, _replace, _leave_out, _add, _repeat, _duplicate, _nest))
    change(parent, key, fragments, random)
    return f"{change.__name__.strip('_')} {pointer}"


def _fragment(text: str, fragments: list[str]) -> str:
    fragments.append(text)
    return f"{MARK}{len(fragments) - 1}{MARK}"


def _replace(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    kind = random.choice((TEXTS, TIMES, NUMBERS, WRONG_TYPES, _like(parent[key])))
    parent[key] = _fragment(random.choice(kind), fragments)


def _like(value: Any) -> tuple[str, ...]:
    """What is wrong in a finer way: of the same type."""
    if isinstance(value, str):
        return TIMES if "T" in value and value.endswith("Z") else TEXTS
    return NUMBERS if isinstance(value, (int, float)) else WRONG_TYPES


def _leave_out(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    del parent[key]


def _add(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    place = parent[key] if isinstance(parent[key], dict) else parent
    if isinstance(place, dict):
        place[_fragment(random.choice(NAMES), fragments)] = _fragment(random.choice(WRONG_TYPES), fragments)
    else:
        place.append(_fragment(random.choice(WRONG_TYPES), fragments))


def _repeat(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    """An array of many, in place of one or of few."""
    of = parent[key][0] if isinstance(parent[key], list) and parent[key] else parent[key]
    count = random.choice(LONG)
    # As it will be sent, and each a copy: a fragment may be a megabyte, of which thousands fill the machine.
    text = _written(of, fragments)
    times = min(count, max(1, MAX_BODY_BYTES // (len(text) + 2) // 2))
    parent[key] = [deepcopy(of) for _ in range(times)]


def _duplicate(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    """The same key twice, which parsers understand in different ways."""
    if isinstance(parent, dict) and not str(key).startswith(MARK):
        parent[_fragment(json.dumps(key), fragments)] = _fragment(random.choice(TEXTS + NUMBERS), fragments)


def _nest(parent: Any, key: Any, fragments: list[str], random: Random) -> None:
    depth = random.choice(DEPTHS)
    opened, closed = random.choice(
        (("[", "]"), ('{"a":', "}"), ('{"type":"not","of":', "}"), ('{"type":"all","of":[', "]}"))
    )
    depth = min(depth, MAX_BODY_BYTES // len(opened + closed) - 10)
    parent[key] = _fragment(opened * depth + "1" + closed * depth, fragments)


def _written(body: Any, fragments: list[str]) -> str:
    """The document as JSON, each fragment in the place that its number keeps."""
    parts = json.dumps(body, ensure_ascii=False).split(f'"{MARK}')
    return parts[0] + "".join(
        fragments[int(number)] + rest for number, rest in (part.split(f'{MARK}"', 1) for part in parts[1:])
    )
