"""The receipt of an erasure: what was erased where and when, signed by this installation, and how it is checked."""

import base64

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.domain import JsonObject
from app.erasure.secret import signing_seed
from app.errors import BadInput
from app.stores.sql.customers.erasures import Erasure

ALGORITHM = "Ed25519"


def signed_receipt(erasure: Erasure, secret: bytes, *, finished_at: str) -> JsonObject:
    """What was erased where and when, with a signature over all the rest in canonical JSON."""
    key = Ed25519PrivateKey.from_private_bytes(signing_seed(secret))
    document: JsonObject = {
        "erasure_id": erasure.erasure_id,
        "requested_at": erasure.requested_at.isoformat(),
        "finished_at": finished_at,
        "tombstones": list(erasure.tombstones),
        "steps": dict(erasure.steps),
        "algorithm": ALGORITHM,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
    }
    return document | {"signature": base64.b64encode(key.sign(_canonical(document))).decode()}


def check_receipt(receipt: JsonObject, secret: bytes) -> None:
    """Raises BadInput unless this installation signed it, and nothing in it was changed since."""
    signed = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        signature = base64.b64decode(receipt["signature"], validate=True)
        given = base64.b64decode(receipt["public_key"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise BadInput("this is no receipt of an erasure: it lacks a signature or a public key") from None
    ours = Ed25519PrivateKey.from_private_bytes(signing_seed(secret)).public_key()
    if given != ours.public_bytes_raw():
        raise BadInput("another installation signed this receipt: check it there, or put privacy.key of that one back")
    try:
        Ed25519PublicKey.from_public_bytes(given).verify(signature, _canonical(signed))
    except InvalidSignature:
        raise BadInput("the receipt was changed after it was signed") from None


def _canonical(document: JsonObject) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
