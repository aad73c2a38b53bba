"""Accepted events that are not in the history yet, and dead letters, in a backup: one line an entry of a stream."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from app.errors import BadInput
from app.files import write_synced
from app.stores.redis.keys import RedisKeys, WorkerClient
from app.stores.redis.stream import stream_entries

EVENTS = "events.jsonl"

Entries = dict[tuple[str, str], dict[str, str]]
"""Stream and id of each entry to its fields, in base64."""


def waiting_entries(client: WorkerClient, keys: RedisKeys) -> Entries:
    """Every entry of every stream at this moment."""
    found: Entries = {}
    for stream in _streams(keys):
        for entry_id, fields in stream_entries(client, stream):
            found[stream, entry_id.decode()] = {_text(name): _text(value) for name, value in fields.items()}
    return found


def write_entries(entries: Entries, folder: Path) -> None:
    """Writes them in the order in which streams take them."""
    ordered = sorted(entries.items(), key=lambda one: (one[0][0], *map(int, one[0][1].split("-"))))
    lines = [
        orjson.dumps({"stream": stream, "id": entry_id, "fields": fields}) for (stream, entry_id), fields in ordered
    ]
    write_synced(folder / EVENTS, b"".join(line + b"\n" for line in lines))


def check_streams_empty(client: WorkerClient, keys: RedisKeys) -> None:
    """Raises BadInput where events wait already."""
    for stream in _streams(keys):
        if count := int(client.xlen(stream)):  # type: ignore[arg-type]  # the client is not an asynchronous one
            raise BadInput(
                f"stream {stream} of this Redis holds {count:,} events already; use an empty database of Redis"
            )


def read_entries(file: Path, keys: RedisKeys) -> Entries:
    """The entries in a backup, in order; raises BadInput where a stream of theirs is none of `keys`."""
    known = set(_streams(keys))
    entries: Entries = {}
    for line in file.read_bytes().splitlines():
        entry = orjson.loads(line)
        if entry["stream"] not in known:
            remedy = "set ENDCAP_STREAM_PARTITION_COUNT as it was"
            raise BadInput(f"the backup has events of stream {entry['stream']}, which there is not; {remedy}")
        entries[entry["stream"], entry["id"]] = entry["fields"]
    return entries


def restore_entries(client: WorkerClient, entries: Entries) -> None:
    """Puts the entries back under their ids, which say when they were accepted."""
    for (stream, entry_id), encoded in entries.items():
        fields: dict[Any, Any] = {base64.b64decode(name): base64.b64decode(value) for name, value in encoded.items()}
        client.xadd(stream, fields, id=entry_id)


def _streams(keys: RedisKeys) -> Iterator[str]:
    for partition in range(keys.partition_count):
        yield keys.stream(partition)
        yield keys.dead(partition)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
