"""What a bundle says of itself: a document of known fields whose last one is a seal over all that stands before."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.domain import JsonObject
from app.errors import BundleRefused

MANIFEST = "manifest.json"
SCHEMA_VERSION = 3
UNSEALED_VERSION = 2
"""Bundles made before there was a seal: they serve on, checked in everything else, until the next training."""
SEAL = "sha256"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_FILES_BYTES = 16 * 2**30
"""More than any catalogue needs; what claims to be larger is not read."""

REMEDY = "`endcap rollback` goes back, `endcap train` makes another"
"""What helps against any fault of a bundle."""

_SEAL_MARK = b',\n "sha256": "'
_END = b'"\n}'


def _aware(value: object) -> datetime:
    """The instant as everybody who reads a manifest reads it."""
    if not isinstance(value, str):
        raise ValueError("an instant in ISO 8601 is needed")
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant with its offset from UTC is needed")
    return instant


def _plain(name: str) -> str:
    if name.startswith(".") or not name.isprintable() or "/" in name or "\\" in name or name == MANIFEST:
        raise ValueError("the name of a file in the bundle's own folder is needed")
    return name


Instant = Annotated[datetime, BeforeValidator(_aware)]
FileName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Documents = dict[str, object]


class FilePromise(BaseModel):
    """What one file must be."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0, le=MAX_FILES_BYTES)


class DataWindow(BaseModel):
    """From when to when the data reaches that was learned from; None without timestamps."""

    model_config = ConfigDict(strict=True, frozen=True)

    start: Instant | None
    end: Instant | None


class Manifest(BaseModel):
    """The fields of a manifest; `releases` once it was published."""

    model_config = ConfigDict(strict=True, frozen=True)

    schema_version: Literal[2, 3]
    version: str = Field(min_length=1)
    created_at: Instant
    data_window: DataWindow
    config: Documents
    metrics: Documents
    commit: str
    files: dict[FileName, FilePromise]
    releases: list[Documents] = []


def sealed(document: Mapping[str, object]) -> bytes:
    """The manifest as it is written: JSON with the SHA-256 of everything before it as its last field."""
    unsealed = {name: value for name, value in document.items() if name != SEAL}
    # By default json writes NaN, which is no JSON, and which servers refuse to parse.
    body = json.dumps(unsealed, ensure_ascii=False, allow_nan=False, indent=1).encode().removesuffix(b"\n}")
    return body + _SEAL_MARK + _digest(body) + _END


def read_manifest(content: bytes, folder: Path) -> tuple[Manifest, JsonObject]:
    """The manifest of `folder`, typed and as it was written; raises BundleRefused, with one line, for any fault."""
    path = folder / MANIFEST
    document = _parsed(content, path)
    schema_version = document.get("schema_version")
    if schema_version not in (UNSEALED_VERSION, SCHEMA_VERSION):
        raise _refused(f"{folder} has schema version {schema_version!r}, this server reads {SCHEMA_VERSION}")
    if (schema_version != UNSEALED_VERSION or SEAL in document) and not is_sealed(content):
        raise _refused(f"{path} differs from its own seal, the field {SEAL!r} at its end")
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise _refused(f"{path}: {first_fault(error)}") from None
    if manifest.version != folder.name:
        raise _refused(f"{folder} holds the manifest of version {manifest.version}")
    if sum(promise.bytes for promise in manifest.files.values()) > MAX_FILES_BYTES:
        raise _refused(f"{path} names more than {MAX_FILES_BYTES:,} bytes of files")
    return manifest, document


def first_fault(error: ValidationError) -> str:
    """Where the first fault of a document is, and what it is, in one line."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"])) or "the document"
    more = error.error_count() - 1
    return f"{place}: {fault['msg']}" + (f" (and {more} more)" if more else "")


def _parsed(content: bytes, path: Path) -> JsonObject:
    try:
        document = orjson.loads(content)
    except ValueError as error:
        raise _refused(f"{path} is no JSON ({error})") from None
    if not isinstance(document, dict):
        raise _refused(f"{path} holds no JSON object")
    return document


def is_sealed(content: bytes) -> bool:
    """True when the document ends with the seal of what stands before it, and with nothing else."""
    body, _, seal = content.rpartition(_SEAL_MARK)
    return seal == _digest(body) + _END


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _refused(fault: str) -> BundleRefused:
    return BundleRefused(f"{fault}; {REMEDY}", reason="manifest")
