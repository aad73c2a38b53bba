"""An erasure done step by step: every step may be killed and begun again, and what it did is noted when it is done."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic

import polars as pl

from app.customers.identities import anonymous_ids_of, customer_ids_of
from app.customers.keys import PersonKeys
from app.customers.tombstones import pseudonyms, tombstones_of
from app.domain import Event, JsonObject, subject_of
from app.erasure.files import erase_from_files, found_in_files
from app.erasure.memory import older_children
from app.erasure.places import Places
from app.erasure.receipt import signed_receipt
from app.erasure.register import note_in_backups
from app.files import try_turn
from app.history.rows import FROM_EVENT, ROW_ID, SOURCE
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.erasure.erasing import erase_in_redis, find_in_redis
from app.stores.redis.erasure.leftovers import rewrite_append_only, wait_until_taken, wash_memory
from app.stores.redis.server.embedded import written_endpoint
from app.stores.sql.customers.audit import forget_looked_at, looks
from app.stores.sql.customers.erasures import (
    Erasure,
    find_erasure,
    finish_erasure,
    forget_names,
    note_step,
    running_erasures,
)
from app.stores.sql.erasure.erasing import erase_in_sql
from app.stores.sql.erasure.export import find_in_sql
from app.stores.sql.erasure.located import locate
from app.stores.sql.erasure.raw_bytes import flush_ledger

LATE_AFTER = timedelta(seconds=12)
"""Whoever had taken something of the person in when they were erased has stored it by then: it is erased once more."""
EXCHANGE_EVERY_S = 20.0
"""Processes are exchanged for many erasures at once, and no more often than this."""
REWRITE_TIMEOUT_S = 60.0
TAKEN_WITHIN_S = 5.0
"""So long events that wait may keep the block of a stream that an erased one was in."""
LOCK = "erasing.lock"

_log = logging.getLogger(__name__)


Found = dict[str, int]


def found_of(places: Places, names: Sequence[str]) -> JsonObject:
    """Everything that is stored of the person with these keys, by place: just what an erasure would take."""
    person = person_keys(names)
    looked_at: list[JsonObject] = []
    while page := places.ledger.read(partial(looks, keys=names, after=looked_at[-1]["entry_id"] if looked_at else 0)):
        looked_at += page
    in_sql = partial(find_in_sql, keys=names, now=places.ledger.now())
    return {
        "ledger": places.ledger.read(in_sql) | {"audit": looked_at},
        "redis": find_in_redis(places.client, places.keys, names),
        "files": _by_place(found_in_files(places.settings, person)),
    }


def are_erased(documents: PersonDocuments, secret: bytes, events: Sequence[Event]) -> list[bool]:
    """Of each event whether it is of somebody who was erased, under either name. Raises StoreUnavailable."""
    names = [(event.subject, subject_of(None, event.anonymous_id or "")) for event in events]
    tombstones = tombstones_of(secret, {name for pair in names for name in pair})
    erased = documents.erased_among(tombstones.values())
    return [any(tombstones[name] in erased for name in pair) for pair in names]


def _at_s(step: JsonObject) -> float:
    """When a step was done, in unix seconds."""
    return datetime.fromisoformat(step["at"]).timestamp()


def _by_place(found: Iterable[tuple[str, JsonObject]]) -> dict[str, list[JsonObject]]:
    places: dict[str, list[JsonObject]] = {}
    for place, document in found:
        places.setdefault(place, []).append(document)
    return places


def person_keys(names: Sequence[str]) -> PersonKeys:
    """The same keys as ids."""
    return PersonKeys(frozenset(customer_ids_of(names)), frozenset(anonymous_ids_of(names)))


class Erasing:
    """Does what is to be erased, one process after the other. `parent_pid`: whose children serve, where they do."""

    def __init__(
        self,
        places: Places,
        documents: PersonDocuments,
        *,
        parent_pid: int | None,
        late_after: timedelta = LATE_AFTER,
    ) -> None:
        self._places = places
        self._late_after = late_after
        self._documents = documents
        self._parent_pid = parent_pid
        # Its parent may just be exchanging it and the others.
        self._exchanged_s = monotonic()

    def is_due(self) -> bool:
        """True while an erasure runs."""
        return bool(self._places.ledger.read(running_erasures))

    def turn(self) -> int:
        """Does what can be done now of every erasure that runs; returns how many it closed. Raises StoreUnavailable."""
        with try_turn(self._places.settings.data_dir / LOCK) as is_ours:
            return self._turn() if is_ours else 0

    def _turn(self) -> int:
        finished = 0
        for erasure in self._places.ledger.read(running_erasures):
            for step, work in self._steps(erasure):
                if step not in self._again(erasure).steps:
                    self._do(erasure, step, work)
            finished += self._close(self._again(erasure))
        return finished

    def _steps(self, erasure: Erasure) -> Iterator[tuple[str, Callable[[], Found]]]:
        """What is to be done, in order; the last of these only once what was on its way has arrived."""
        places, names, person = self._places, erasure.names, person_keys(erasure.names)
        if names:
            # Once more: who noted the request may not have come so far.
            self._documents.mark_erased(erasure.tombstones)
            yield "redis", lambda: self._redis(names, person)
            yield "ledger", self._ledger(names)
            yield "files", partial(erase_from_files, places.settings, person)
            if self._now() < erasure.requested_at + self._late_after:
                return
            yield "late", self._late(names, person)
        yield "backups", partial(self._note_in_backups, erasure)
        yield "disk", lambda: self._disk(erasure)

    def _redis(self, names: Sequence[str], person: PersonKeys) -> Found:
        """Marks of seen events go as well: as long as the history has the events, it says which."""
        rows = self._places.history.of_person(person).filter(pl.col(SOURCE) == FROM_EVENT)
        # A row's id is that of its sending, the number of the line, and the time.
        sendings = {row_id.rsplit(" ", 2)[0] for row_id in rows[ROW_ID]}
        return erase_in_redis(self._places.client, self._places.keys, names, sendings=sendings)

    def _ledger(self, names: Sequence[str]) -> Callable[[], Found]:
        def erase() -> Found:
            ledger, now = self._places.ledger, self._now()
            pseudonym_of = pseudonyms(self._places.secret)
            located = locate(ledger, names, now=now)
            work = partial(erase_in_sql, keys=names, pseudonym_of=pseudonym_of, now=now, located=located)
            found = ledger.write(work)
            forget = partial(forget_looked_at, keys=names, pseudonym_of=pseudonym_of)
            return found | {"audit": ledger.write(forget)}

        return erase

    def _late(self, names: Sequence[str], person: PersonKeys) -> Callable[[], Found]:
        def erase() -> Found:
            places = self._places
            found = self._ledger(names)()
            found |= erase_from_files(places.settings, person)
            return found | self._redis(names, person)

        return erase

    def _note_in_backups(self, erasure: Erasure) -> Found:
        """A backup cannot be changed; whoever restores one erases again who is in its register."""
        file = self._places.settings.backups_file
        folders = list(dict.fromkeys(file.read_text().splitlines())) if file.exists() else []
        noted = dict.fromkeys(erasure.tombstones, erasure.requested_at)
        return note_in_backups(map(Path, folders), noted)

    def _disk(self, erasure: Erasure) -> Found:
        """What was deleted is still in files that grow: they are rewritten. From here on no step needs a name."""
        places, left = self._places, dict[str, int]()
        places.ledger.write(partial(forget_names, erasure_id=erasure.erasure_id))
        if self._is_redis_ours():
            wait_until_taken(places.client, places.keys, timeout_s=TAKEN_WITHIN_S)
            rewrite_append_only(places.client, timeout_s=REWRITE_TIMEOUT_S)
        else:
            left["redis_left_to_its_operator"] = 1
        # Without names, as after a kill, nobody can look for them: then the file is rewritten.
        texts = [*customer_ids_of(erasure.names), *anonymous_ids_of(erasure.names)] or [""]
        if not flush_ledger(places.ledger, texts, timeout_s=REWRITE_TIMEOUT_S):
            left["ledger_left_for_a_quiet_hour"] = 1
        return left

    def _memory(self) -> Found:
        """Valkey's; that of those who served has gone with them, where there is somebody who exchanges them."""
        if self._is_redis_ours():
            wash_memory(self._places.client)
        return {} if self._parent_pid is not None else {"left_to_restart": 1}

    def _is_redis_ours(self) -> bool:
        """What another Redis keeps is up to whoever runs it: its commands may be forbidden, its scripts be others'."""
        embedded = written_endpoint(self._places.settings.data_dir)
        return embedded is not None and self._places.settings.redis_url in (None, embedded.url)

    def _do(self, erasure: Erasure, step: str, work: Callable[[], Found]) -> None:
        found = {place: count for place, count in work().items() if count}
        note = partial(note_step, erasure_id=erasure.erasure_id, step=step, erased=found, now=self._now())
        self._places.ledger.write(note)
        _log.info("erasure", extra={"detail": f"{erasure.erasure_id}: {step} done"})

    def _close(self, erasure: Erasure) -> bool:
        """Closes it once no process is left that served the person; True when it is closed."""
        disk = erasure.steps.get("disk")
        if disk is None:
            return False
        if "memory" not in erasure.steps:
            # What began after this never held anything of the person: names and data were gone by then.
            if self._parent_pid is not None and (older := older_children(self._parent_pid, than_s=_at_s(disk))):
                self._exchange(len(older))
                return False
            self._do(erasure, "memory", self._memory)
        receipt = signed_receipt(self._again(erasure), self._places.secret, finished_at=self._now().isoformat())
        self._places.ledger.write(
            partial(finish_erasure, erasure_id=erasure.erasure_id, receipt=receipt, now=self._now())
        )
        _log.info("erasure done", extra={"detail": erasure.erasure_id})
        return True

    def _exchange(self, count: int) -> None:
        if self._parent_pid is not None and monotonic() - self._exchanged_s > EXCHANGE_EVERY_S:
            self._exchanged_s = monotonic()
            _log.info("processes are exchanged, so that their memory goes", extra={"detail": f"{count}"})
            # This process too, whose successor goes on.
            os.kill(self._parent_pid, signal.SIGHUP)

    def _again(self, erasure: Erasure) -> Erasure:
        return self._places.ledger.read(partial(find_erasure, erasure_id=erasure.erasure_id))

    def _now(self) -> datetime:
        return self._places.ledger.now()
