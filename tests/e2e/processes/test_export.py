"""An export is what an erasure takes: every value that is gone afterwards stands in the export, and none that stays."""

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from sqlalchemy import Connection, select

from app.composition.history import history_of
from app.composition.stores import keys_of, opened_ledger, redis_client
from app.customers.tombstones import tombstone_of
from app.domain import subject_of
from app.erasure.places import Places
from app.erasure.run import Erasing, found_of
from app.erasure.secret import secret_of
from app.settings import Settings
from app.stores.feast.offline import snapshot_files
from app.stores.feast.online_row import decode_hash
from app.stores.jobs.folder import Jobs
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.erasure.erasing import event_document
from app.stores.redis.keys import unpack_event
from app.stores.redis.server.embedded import redis_for
from app.stores.sql.accounts.outcomes import outcome_files
from app.stores.sql.customers.erasures import request_erasure
from app.stores.sql.customers.groups import keys_of_customer
from app.stores.sql.database.tables import metadata
from tests.e2e.processes.canary import CANARY, NEEDLES, plant
from tests.support.running import endcap_up, run_endcap
from tests.support.server import wait_until
from tests.support.traces import files_with
from tests.support.world import World

Documents = dict[str, list[Any]]
"""By place what it holds, as documents of JSON types."""
KINDS = {"person": "persons", "wallet": "wallets", "decision": "decisions", "dead": "dead_letters"}
"""What keys of Redis call what an export calls otherwise."""
NOT_PERSONAL = {"ledger place_changes"}
"""Numbers of changes, which move on."""
OF_ACCOUNTS = {"ledger uses", "ledger redemption_lines"}
"""They name nobody: the redemption does, which keeps its money under a pseudonym."""


def test_export_is_what_an_erasure_takes(trained_world: World, tmp_path: Path) -> None:
    settings = trained_world.settings.model_copy(update={"data_dir": tmp_path / "var", "redis_url": None})
    shutil.copytree(
        trained_world.settings.data_dir, settings.data_dir, ignore=shutil.ignore_patterns("valkey", "*.db*")
    )
    with endcap_up(settings.data_dir) as up:
        plant(up)
        wait_until(lambda: files_with(settings.history_dir, NEEDLES), "the events are in the history")
        run_endcap(settings.data_dir, "features")
        answer = up.client.get(f"/v1/customers/{CANARY}/export").json()
        assert up.interrupt() == 0
    with places(settings) as quiet:
        names = quiet.ledger.read(partial(keys_of_customer, customer_id=CANARY))
        assert answer.items() >= {"customer_id": CANARY, "identities": list(names)}.items()
        before, exported = everything(quiet), by_place(found_of(quiet, names))
        assert by_place(answer).keys() <= exported.keys()
        erase_all(quiet)
        after = everything(quiet)
    gone = {place: lost for place in before if (lost := without(before[place], after.get(place, [])))}
    compared = (exported.keys() | gone.keys()) - NOT_PERSONAL - OF_ACCOUNTS - {"ledger idempotency"}
    assert len(compared) >= 20
    assert {place: sorted(map(as_text, gone.get(place, []))) for place in compared} == {
        place: sorted(map(as_text, exported.get(place, []))) for place in compared
    }
    # Of a stored response what names the person, as it may be about others too.
    bodies = {(row["client"], row["key"]): row["body"] for row in gone["ledger idempotency"]}
    assert {(row["client"], row["key"]) for row in exported["ledger idempotency"]} == bodies.keys()
    for row in exported["ledger idempotency"]:
        assert all(name.encode() in bodies[row["client"], row["key"]] for name in row["names"])
    for place in OF_ACCOUNTS:
        assert exported[place]
        assert without(exported[place], before[place]) == []


def by_place(document: dict[str, Any]) -> Documents:
    """The places of an export by one name each."""
    parts = ("ledger", "redis", "files")
    return {f"{part} {place}": rows for part in parts for place, rows in document[part].items()}


def without(documents: list[Any], others: list[Any]) -> list[Any]:
    """The documents of the first list that the second one has not."""
    left, found = Counter(map(as_text, others)), []
    for one in documents:
        text = as_text(one)
        if left[text]:
            left[text] -= 1
        else:
            found.append(one)
    return found


def as_text(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)


@contextmanager
def places(settings: Settings) -> Iterator[Places]:
    """The stores, on which nobody works."""
    with (
        redis_for(settings) as url,
        opened_ledger(settings) as ledger,
        closing(redis_client(url)) as client,
    ):
        yield Places(settings, ledger, client, keys_of(settings), secret_of(settings.privacy_file))


def erase_all(quiet: Places) -> None:
    ask = partial(request_erasure, key=subject_of(CANARY), tombstone_of=partial(tombstone_of, quiet.secret))
    quiet.ledger.write(partial(ask, now=quiet.ledger.now()))
    documents = PersonDocuments(quiet.ledger, quiet.client, quiet.keys)
    client: Any = quiet.client
    script = client.script_load("return 1")
    assert Erasing(quiet, documents, parent_pid=None, late_after=timedelta(0)).turn() == 1
    # Valkey is ours, so its memory was washed, though nobody exchanges processes here.
    assert client.script_exists(script) == [False]


def everything(quiet: Places) -> Documents:
    """Every value of every store, read without what exports and erases."""
    return in_sql(quiet) | in_redis(quiet.client) | in_files(quiet.settings)


def in_sql(quiet: Places) -> Documents:
    def read(connection: Connection) -> Documents:
        return {
            f"ledger {name}": [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in metadata.tables.items()
        }

    return quiet.ledger.read(read)


def in_redis(client: Any) -> Documents:
    found: Documents = {}
    for key in client.scan_iter():
        kind, documents = at_key(client, key)
        found.setdefault(f"redis {KINDS.get(kind, kind)}", []).extend(documents)
    return found


def at_key(client: Any, key: bytes) -> tuple[str, list[Any]]:
    """What the key is for, and what it holds."""
    if client.type(key) == b"hash":
        return "features", [decode_hash(client.hgetall(key))]
    text = key.decode()
    kind = text.removeprefix(text.partition("}:")[0] + "}:").split(":")[0]
    match client.type(key):
        case b"list":
            return kind, [event_document(unpack_event(one)) for one in client.lrange(key, 0, -1)]
        case b"stream":
            events = ((entry.decode(), unpack_event(fields[b"e"])) for entry, fields in client.xrange(key))
            return kind, [event_document(event) | {"entry_id": entry} for entry, event in events]
        case b"zset":
            return kind, [{"key": text}]
    value = client.get(key)
    match kind:
        case "person":
            return kind, [{"document": orjson.loads(value)}]
        case "wallet":
            return kind, [{"wallet": orjson.loads(value)}]
        case "decision":
            return kind, [orjson.loads(value)]
    return kind, [{"key": text}]


def in_files(settings: Settings) -> Documents:
    features = {path: path.name.partition(".")[0] for path in snapshot_files(settings.features_dir)}
    outcomes = {path: path.stem for path in outcome_files(settings)}
    lists = sorted(settings.rejects_dir.glob("*.csv"))
    quoted = [(job.job_id, text) for job in Jobs(settings.uploads_dir).all() for text in texts_in(job.outcome())]
    return {
        "files history": rows(history_of(settings).scan().collect()),
        "files features": [
            {"view": view, **row} for path, view in features.items() for row in rows(pl.read_parquet(path))
        ],
        "files coupon_outcomes": [
            {"table": name, **row} for path, name in outcomes.items() for row in rows(pl.read_parquet(path))
        ],
        "files rejects": [
            {"list": path.name, **row} for path in lists for row in csv.DictReader(path.read_text().splitlines())
        ],
        "files import_reports": [{"job": job_id, "text": text} for job_id, text in quoted],
    }


def rows(frame: pl.DataFrame) -> list[Any]:
    found: list[Any] = orjson.loads(frame.write_json())
    return found


def texts_in(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    for one in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from texts_in(one)
