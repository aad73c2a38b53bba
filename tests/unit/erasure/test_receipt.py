"""Receipts of erasures: signed by this installation, and nothing in them can be changed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain import JsonObject
from app.erasure.receipt import check_receipt, signed_receipt
from app.erasure.secret import SECRET_BYTES, secret_of
from app.errors import BadInput
from app.stores.sql.customers.erasures import Erasure

AT = datetime(2026, 11, 1, tzinfo=UTC)
DONE: JsonObject = {"redis": {"at": AT.isoformat(), "erased": {"live": 2}}}
SECRET = b"s" * SECRET_BYTES


def receipt() -> JsonObject:
    erasure = Erasure("ers_1", (), ("digest",), AT, DONE, None)
    return signed_receipt(erasure, SECRET, finished_at=AT.isoformat())


def test_receipt_is_checked_by_who_signed_it() -> None:
    document = receipt()
    check_receipt(document, SECRET)
    assert document["steps"] == DONE
    with pytest.raises(BadInput, match="another installation"):
        check_receipt(document, b"t" * SECRET_BYTES)


@pytest.mark.parametrize("change", [{"tombstones": []}, {"finished_at": "2020-01-01"}, {"steps": {}}, {"more": 1}])
def test_changed_receipt_is_refused(change: JsonObject) -> None:
    with pytest.raises(BadInput, match="changed"):
        check_receipt(receipt() | change, SECRET)


@pytest.mark.parametrize("document", [{}, {"signature": "x", "public_key": "%"}, {"signature": 1, "public_key": 2}])
def test_what_is_no_receipt_is_refused(document: JsonObject) -> None:
    with pytest.raises(BadInput, match="no receipt"):
        check_receipt(document, SECRET)


def test_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "var" / "privacy.key"
    secret = secret_of(file)
    assert len(secret) == SECRET_BYTES
    assert secret_of(file) == secret
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"short")
    with pytest.raises(BadInput, match="5 bytes"):
        secret_of(file)
