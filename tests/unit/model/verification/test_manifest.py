"""A manifest is sealed as a whole, and each of its fields is needed and of one type."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import BundleRefused
from app.model.verification.manifest import SEAL, read_manifest, sealed

FOLDER = Path("bundles/v1")
DOCUMENT: dict[str, Any] = {
    "schema_version": 3,
    "version": "v1",
    "created_at": "2026-11-21T17:00:00+00:00",
    "data_window": {"start": None, "end": "2026-11-20T00:00:00+00:00"},
    "config": {"seed": 1},
    "metrics": {},
    "commit": "abc",
    "files": {"als.json": {"sha256": "0" * 64, "bytes": 3}},
}


def refusal(content: bytes) -> str:
    with pytest.raises(BundleRefused) as refused:
        read_manifest(content, FOLDER)
    assert refused.value.reason == "manifest"
    assert "\n" not in refused.value.message
    return refused.value.message


def test_sealed_manifest_reads_back_as_it_was_written() -> None:
    manifest, document = read_manifest(sealed(DOCUMENT), FOLDER)
    assert manifest.files["als.json"].bytes == 3
    assert manifest.created_at.isoformat() == DOCUMENT["created_at"]
    assert {name: value for name, value in document.items() if name != SEAL} == DOCUMENT
    assert sealed(document) == sealed(DOCUMENT)


def test_every_flipped_bit_is_refused() -> None:
    content = sealed(DOCUMENT)
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytes([content[place] ^ 1 << bit])
            assert "; `endcap rollback`" in refusal(content[:place] + flipped + content[place + 1 :])


@pytest.mark.parametrize("field", list(DOCUMENT))
def test_missing_field_is_refused_by_name_although_the_seal_is_right(field: str) -> None:
    lacking = {name: value for name, value in DOCUMENT.items() if name != field}
    assert ("schema version None" if field == "schema_version" else f"{field}: ") in refusal(sealed(lacking))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", 1_700_000_000),
        ("created_at", "2026-11-21T17:00:00"),
        ("created_at", "yesterday"),
        ("config", []),
        ("data_window", {"start": None}),
        ("files", {"als.json": {"sha256": "0" * 64}}),
        ("files", {"als.json": {"sha256": "0" * 64, "bytes": -1}}),
        ("files", {"als.json": {"sha256": "0" * 64, "bytes": 2**60}}),
        ("files", {"als.json": {"sha256": "short", "bytes": 3}}),
        *(("files", {name: {"sha256": "0" * 64, "bytes": 3}}) for name in ("../als.json", "/etc/hosts", ".", "", "\0")),
        ("version", "v2"),
        ("schema_version", 4),
        ("schema_version", [3]),
    ],
)  # fmt: skip
def test_field_of_another_kind_is_refused_although_the_seal_is_right(field: str, value: object) -> None:
    refusal(sealed({**DOCUMENT, field: value}))


def test_bundle_from_before_the_seal_serves_on_and_one_of_today_needs_it() -> None:
    old = json.dumps(DOCUMENT | {"schema_version": 2}).encode()
    assert read_manifest(old, FOLDER)[0].schema_version == 2
    assert "its own seal" in refusal(json.dumps(DOCUMENT).encode())
    wrong = json.dumps(DOCUMENT | {"schema_version": 2, SEAL: "0" * 64}).encode()
    assert "its own seal" in refusal(wrong)
