"""Sound requests made up from the service's own OpenAPI document: its examples, and others from its schemas."""

import json
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

LATER = ("to", "ends_at", "valid_until")
MAX_DEPTH = 6
Known = Mapping[str, Sequence[str]]
"""Values that exist, by the name of a field or parameter."""


def sound_parameter(described: Mapping[str, Any], known: Known, random: Random) -> bytes | None:
    """The value of a parameter that is so described; None where it is left out."""
    name, schema = described["name"], described["schema"]
    if name in known:
        return random.choice(known[name]).encode()
    if "enum" in schema or "$ref" in schema:
        return random.choice([b"schedule", b"pause", b"resume", b"reopen", b"schedule"])
    if not described.get("required") and random.random() < 0.5:
        return None
    by_type = {"integer": b"5", "number": b"0.5", "boolean": b"true"}
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    if "date-time" in [one.get("format") for one in schema.get("anyOf", [schema])]:
        return b"2027-01-01T00:00:00Z" if name in LATER else b"2026-11-21T17:00:00Z"
    return by_type.get(kinds[0], b"a")


def sound_body(schema: Mapping[str, Any], document: Mapping[str, Any], known: Known, random: Random) -> Any:
    """A sound body: an example of the document, or every field that its schema has."""
    resolved = _resolved(schema, document)
    if "terms" in resolved["properties"]:
        # What is to be new has an id that nothing has.
        known = {name: ids for name, ids in known.items() if name not in ("campaign_id", "offer_id")}
    examples = resolved.get("examples")
    if examples and random.random() < 0.5:
        example = json.loads(json.dumps(random.choice(examples)))
        if "terms" in example:
            example = {name: value for name, value in example.items() if name not in ("campaign_id", "offer_id")}
        for parent, key, _ in [*places_of(example)]:
            if key in known and isinstance(parent[key], str):
                parent[key] = random.choice(known[key])
        return example
    return _sample("", resolved, document, known, random)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _sample(
    name: str, schema: Mapping[str, Any], document: Mapping[str, Any], known: Known, random: Random,
    *, depth: int = 0,
) -> Any:  # fmt: skip
    schema = _resolved(schema, document)
    deeper = {"depth": depth + 1}
    for several in ("anyOf", "oneOf"):
        if several in schema:
            choices = [one for one in schema[several] if one.get("type") != "null"]
            return _sample(name, random.choice(choices), document, known, random, **deeper)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        required = set(schema.get("required", ()))
        chosen = [one for one in fields if one in required or (depth < MAX_DEPTH and random.random() < 0.3)]
        return {one: _sample(one, fields[one], document, known, random, **deeper) for one in chosen}
    if kind == "array":
        count = random.randint(max(1, schema.get("minItems", 0)), 2) if depth < MAX_DEPTH else schema.get("minItems", 0)
        return [_sample(name, schema["items"], document, known, random, **deeper) for _ in range(count)]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return max(1, int(low)) if schema.get("maximum", 2) >= 1 else 0.5
    if kind == "boolean":
        return random.random() < 0.5
    if schema.get("format") == "date-time":
        return "2027-01-01T00:00:00Z" if name in LATER else "2026-11-21T17:00:00Z"
    if name in known:
        return random.choice(known[name])
    return "EUR" if schema.get("pattern") == "^[A-Z]{3}$" else f"a{random.getrandbits(24)}"


def places_of(part: Any, pointer: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Every value of a document: what holds it, under which key, and the JSON pointer to it."""
    keys = list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
    for key in keys:
        yield part, key, f"{pointer}/{key}"
        yield from places_of(part[key], f"{pointer}/{key}")
