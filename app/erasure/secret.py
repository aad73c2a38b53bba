"""The secret of this installation: it keys tombstones and pseudonyms, and signs receipts of erasures."""

import secrets
from hashlib import sha256
from pathlib import Path

from app.errors import BadInput
from app.files import replace_durably, turn

SECRET_BYTES = 32


def secret_of(file: Path) -> bytes:
    """The secret that the file holds, made where there is none; raises BadInput for a file that holds another thing."""
    if not file.exists():
        _make(file)
    found = file.read_bytes()
    if len(found) != SECRET_BYTES:
        raise BadInput(
            f"{file} holds {len(found)} bytes and not the {SECRET_BYTES} of a secret; put it back from the backup:"
            " without it nobody knows who was erased"
        )
    return found


def signing_seed(secret: bytes) -> bytes:
    """What the key of receipts is made from: of the secret it tells nothing."""
    return sha256(b"receipts of erasures" + secret).digest()


def _make(file: Path) -> None:
    """Writes a new secret, or leaves that of whoever was first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with turn(file.with_suffix(".lock")):
        if not file.exists():
            replace_durably(file, secrets.token_bytes(SECRET_BYTES))
            file.chmod(0o600)
