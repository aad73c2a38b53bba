"""What works on an import that the API took: waits for its turn, brings the file in, and leaves what became of it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from app.api.problems import without_folders
from app.commands.imports.look import previews
from app.domain import JsonObject
from app.erasure.refused import erased_people
from app.errors import BadInput, EndcapError
from app.imports.columns.reading import Unclear
from app.imports.journal.records import Intake
from app.imports.mapping.load import file_form, keep_mapping, mapping_names
from app.imports.run import Sources, run_imports
from app.imports.undo import undo_import
from app.settings import Settings
from app.stores.jobs.folder import Job

DONE, FAILED = "done", "failed"

_log = logging.getLogger(__name__)


def work(folder: Path, data_dir: Path | None) -> None:
    """Works on the job; never raises, and holds its lock, which it inherited, to its end."""
    job = Job(folder)
    job.begin()
    request = job.request()
    try:
        settings = Settings.load(data_dir=data_dir, currency=request["currency"], time_zone=request["time_zone"])
        outcome = {"status": DONE} | _outcome(settings, job, request, now=datetime.now(UTC))
    except Unclear as error:
        outcome = _failed(error) | {"parameter": error.option, "choices": list(error.choices)}
    except EndcapError as error:
        outcome = _failed(error)
    except Exception as error:  # noqa: BLE001 - the border of the job: whatever happens, somebody waits for its outcome
        _log.exception("import failed", extra={"job": job.job_id})
        outcome = {"status": FAILED, "code": EndcapError.code, "detail": type(error).__name__}
    # Before the outcome: once that is there the file is of no use.
    job.drop_file()
    job.end(outcome)


def _failed(error: EndcapError) -> JsonObject:
    return {"status": FAILED, "code": error.code, "detail": without_folders(error.message)}


def _outcome(settings: Settings, job: Job, request: JsonObject, *, now: datetime) -> JsonObject:
    if request["kind"] == "undo":
        _, gone = undo_import(settings, request["import_id"], now=now)
        return {"undone": request["import_id"], "rows_gone": gone}
    if request["kind"] == "mapping":
        keep_mapping(settings.tables_dir, request["mapping"], job.file().read_bytes())
        return {}
    sources = _sources(settings.tables_dir, job.file(), request)
    if request["kind"] == "preview":
        return {"previews": [_without_places(one.to_dict()) for one in previews(settings, sources, now=now)]}
    refused = erased_people(settings)
    choice = {"replaces": request["replace"], "keeps_both": request["keep_both"]}
    intake = Intake(request["by"], **choice, is_erased=refused)
    reports = run_imports(settings, sources, shift_to_now=False, now=now, progress=_silent, intake=intake)
    return {"reports": [_without_places(one.to_dict()) for one in reports]}


def _sources(tables_dir: Path, file: Path, request: JsonObject) -> Sources:
    mapping, table = request["mapping"], request["table"]
    # Only one that is known by its name: whoever may send a file may not read others of this machine.
    if mapping is not None and mapping not in mapping_names(tables_dir):
        raise BadInput(f"{mapping!r} is no known source; known: {', '.join(mapping_names(tables_dir))}")
    stated = file_form(**request["form"])
    sources = Sources(mapping=mapping, stated=stated, partial_stock=request.get("partial_stock", False))
    return replace(sources, files=(file,)) if table is None else replace(sources, **cast(Any, {table: file}))


def _without_places(facts: Mapping[str, object]) -> JsonObject:
    """Without where files lie on this machine, and the command that would import them there."""
    return {name: value for name, value in facts.items() if name not in ("path", "command", "rejects_path")}


def _silent(name: str, done: int, total: int | None, /) -> None:
    pass
