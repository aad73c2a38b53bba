"""`/v1/imports`: files of every kind that `endcap import` takes, sent by the systems that write them."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.api.access import RouteOptions, client_of, needs
from app.api.documents import json_answer
from app.api.imports.wire import (
    ImportId,
    ImportJob,
    ImportList,
    ImportOptions,
    MappingName,
    import_document,
    job_document,
)
from app.api.problems import documented, problem
from app.api.state import Service, service_of
from app.domain import Scope
from app.errors import Missing, StoreUnavailable
from app.room import shortage
from app.stores.jobs.folder import Job

PATH = "/v1/imports"
MAPPING_MAX_BYTES = 100_000
WRITE_BYTES = 2**20
"""So much is kept of a body before it is written."""

router = APIRouter(tags=["data"])


class JobNotFound(Missing):
    """No such job is kept."""

    code = "job_not_found"


def _takes_file(what: str) -> RouteOptions:
    options = needs(Scope.IMPORT)
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    body = {"required": True, "description": what, "content": content}
    return {"openapi_extra": options["openapi_extra"] | {"requestBody": body}}


@router.post(
    PATH,
    status_code=202,
    response_model=ImportJob,
    responses=documented(413, 422),
    **_takes_file("The file as it is, packed or not"),
)
async def start_import(options: Annotated[ImportOptions, Query()], request: Request) -> Response:
    """Takes a file, of any content type, and starts its import; `GET /v1/imports/jobs/{job_id}` says what became of it.

    One is worked on at a time, the others wait. The same file again adds nothing.
    """
    limit = service_of(request).settings.import_max_bytes
    too_large = f"at most {limit:,} bytes are taken (ENDCAP_IMPORT_MAX_BYTES); pack the file, or send it in parts"
    return await _with_body(request, options.request(by=client_of(request)), limit=limit, too_large=too_large)


@router.put(
    PATH + "/mappings/{mapping}",
    status_code=202,
    response_model=ImportJob,
    responses=documented(413, 422),
    **_takes_file("A mapping file in TOML (docs/mapping.md)"),
)
async def store_mapping(mapping: MappingName, request: Request) -> Response:
    """Keeps a mapping for the parameter `mapping` of later imports, in the place of an earlier one of this name.

    The job says whether it is sound, and points to what is not.
    """
    wanted = {"kind": "mapping", "file": f"{mapping}.toml", "mapping": mapping, "by": client_of(request)}
    too_large = f"a mapping may have {MAPPING_MAX_BYTES:,} bytes; leave out what the file does not need"
    return await _with_body(request, wanted, limit=MAPPING_MAX_BYTES, too_large=too_large)


@router.get(PATH, response_model=ImportList, **needs(Scope.IMPORT))
def list_imports(request: Request) -> Response:
    """Every import, whatever brought it, and what has become of it."""
    listed = service_of(request).imports.imports()
    return json_answer({"imports": [import_document(one) for one in listed]})


@router.get(PATH + "/jobs/{job_id}", response_model=ImportJob, responses=documented(404, 422), **needs(Scope.IMPORT))
def get_import_job(job_id: str, request: Request) -> Response:
    """How far an import is, and its report once it is done; the last 100 are kept."""
    job = service_of(request).imports.jobs.find(job_id)
    if job is None:
        raise JobNotFound(f"job {job_id!r} is not known, or of long ago; GET {PATH} lists what came in")
    return json_answer(job_document(job))


@router.post(
    PATH + "/{import_id}/undo",
    status_code=202,
    response_model=ImportJob,
    responses=documented(422),
    **needs(Scope.IMPORT),
)
def undo_import(import_id: ImportId, request: Request) -> Response:
    """Starts taking an import back, all or nothing; it waits for the imports before it."""
    return _started(service_of(request), {"kind": "undo", "import_id": import_id})


async def _with_body(request: Request, wanted: Mapping[str, object], *, limit: int, too_large: str) -> Response:
    """Starts a job with the body as its file, which may have `limit` bytes."""
    service, declared = service_of(request), request.headers.get("content-length", "")
    await run_in_threadpool(service.imports.jobs.check_room)
    if declared.isdigit() and int(declared) > limit:
        return problem(413, "request_too_large", too_large)
    path = await run_in_threadpool(service.imports.jobs.incoming, uuid4().hex)
    try:
        if await _receive(request, path, limit) > limit:
            return problem(413, "request_too_large", too_large)
        return await run_in_threadpool(_started, service, wanted, path)
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _started(service: Service, wanted: Mapping[str, object], path: Path | None = None) -> Response:
    return _accepted(service.imports.start(wanted, path))


def _accepted(job: Job) -> Response:
    answer = json_answer(job_document(job))
    answer.status_code = 202
    answer.headers["Location"] = f"{PATH}/jobs/{job.job_id}"
    return answer


async def _receive(request: Request, path: Path, limit: int) -> int:
    """Writes the body to the path, bit by bit; returns its bytes, or more than the limit where it has more."""
    size, kept = 0, bytearray()
    try:
        with path.open("xb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    return size
                kept += chunk
                if len(kept) >= WRITE_BYTES:
                    if (short := shortage(path.parent)) is not None:
                        raise StoreUnavailable(short)
                    await run_in_threadpool(file.write, kept)
                    kept = bytearray()
            await run_in_threadpool(file.write, kept)
            file.flush()
            await run_in_threadpool(os.fsync, file.fileno())
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written ({error.strerror})") from error
    except ClientDisconnect:
        raise StoreUnavailable("the caller went away") from None
    return size
