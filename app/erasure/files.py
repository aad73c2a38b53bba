"""Every place in the data directory whose files may hold a person: what is exported, and what is erased, in this order.

Before it somebody has noted, on disk, that the person is erased, so that no import and no event brings new rows. The
ledger comes before it, too, because coupons' outcomes are written from there; Redis after it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.composition.history import history_of
from app.customers.keys import PersonKeys
from app.domain import JsonObject
from app.erasure import rejects
from app.erasure.mentions import Mentions
from app.erasure.parquet import documents, erase_rows, rows_of
from app.imports.journal.known import forget_gone_rows, wait_for_commits
from app.imports.reading.scratch import no_import
from app.settings import Settings
from app.stores.feast.offline import snapshot_files, snapshots_held
from app.stores.jobs.folder import Jobs
from app.stores.sql.accounts.outcomes import outcome_files, outcomes_held

UPLOAD_STALE_S = 3600.0
"""What arrives so slowly does so no more."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Files of one kind: what they hold of a person, and a function that erases it and returns how many rows went."""

    name: str
    find: Callable[[Settings, PersonKeys], Iterator[JsonObject]]
    erase: Callable[[Settings, PersonKeys], int]


def found_in_files(settings: Settings, keys: PersonKeys) -> Iterator[tuple[str, JsonObject]]:
    """Everything that files hold of the person, each with the name of its place."""
    for place in PLACES:
        for document in place.find(settings, keys):
            yield place.name, document


def erase_from_files(settings: Settings, keys: PersonKeys) -> dict[str, int]:
    """How many rows went from each place. Cut off at any point, and called again, it ends the same.

    Waits for what reads the history for long, such as a training, and for imports. Raises StoreUnavailable.
    """
    return {place.name: place.erase(settings, keys) for place in PLACES}


def _history(settings: Settings, keys: PersonKeys) -> Iterator[JsonObject]:
    yield from documents(history_of(settings).of_person(keys))


def _erase_history(settings: Settings, keys: PersonKeys) -> int:
    wait_for_commits(settings)
    return history_of(settings).erase(keys)


def _features(settings: Settings, keys: PersonKeys) -> Iterator[JsonObject]:
    for path in snapshot_files(settings.features_dir):
        for row in rows_of(path, keys):
            yield {"view": path.name.partition(".")[0], **row}


def _erase_features(settings: Settings, keys: PersonKeys) -> int:
    if not settings.features_dir.exists():
        return 0
    # A materialization that began before the history lost the rows has written them by then.
    with snapshots_held(settings.features_dir):
        return sum(erase_rows(path, keys) for path in snapshot_files(settings.features_dir))


def _outcomes(settings: Settings, keys: PersonKeys) -> Iterator[JsonObject]:
    for path in outcome_files(settings):
        for row in rows_of(path, keys):
            yield {"table": path.stem, **row}


def _erase_outcomes(settings: Settings, keys: PersonKeys) -> int:
    with outcomes_held(settings) as staging:
        return sum(erase_rows(path, keys, staging_dir=staging) for path in outcome_files(settings))


def _nothing(_: Settings, __: PersonKeys) -> Iterator[JsonObject]:
    """Ids of rows say nothing that the rows do not."""
    yield from ()


def _erase_known(settings: Settings, _: PersonKeys) -> int:
    return forget_gone_rows(settings)


def _rejects(settings: Settings, keys: PersonKeys) -> Iterator[JsonObject]:
    return rejects.lines_of(settings.rejects_dir, keys)


def _erase_rejects(settings: Settings, keys: PersonKeys) -> int:
    if not settings.data_dir.exists():
        return 0
    with no_import(settings.data_dir):
        return rejects.erase_lines(settings.rejects_dir, keys)


def _reports(settings: Settings, keys: PersonKeys) -> Iterator[JsonObject]:
    mentions = Mentions(keys)
    for job in Jobs(settings.uploads_dir).all():
        for text in mentions.texts(job.outcome()):
            yield {"job": job.job_id, "text": text}


def _erase_reports(settings: Settings, keys: PersonKeys) -> int:
    mentions, jobs, count = Mentions(keys), Jobs(settings.uploads_dir), 0
    for job in jobs.all():
        # What had begun before may quote the person in its outcome, which it is about to write.
        job.wait_where_begun()
        outcome = job.outcome()
        if texts := list(mentions.texts(outcome)):
            job.end(mentions.erased(outcome))
            count += len(texts)
    # Files of imports that were killed.
    jobs.sweep(stale_s=UPLOAD_STALE_S)
    return count


PLACES = (
    FilePlace("history", _history, _erase_history),
    FilePlace("features", _features, _erase_features),
    FilePlace("coupon_outcomes", _outcomes, _erase_outcomes),
    FilePlace("known_rows", _nothing, _erase_known),
    FilePlace("rejects", _rejects, _erase_rejects),
    FilePlace("import_reports", _reports, _erase_reports),
)
"""Not among them, because they hold no person: bundles (docs/decisions/0002), evaluations, product tables, feeds."""
