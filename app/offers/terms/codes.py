"""Ids and coupon codes: random, and codes so that people can read them out and type them in."""

import os
import re
import secrets
from base64 import b32encode

from app.errors import BadInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no I, L, O or U, which are taken for other characters."""
CODE_LENGTH = 16
"""Sixteen characters of five bits: 80 random bits."""
_TO_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def new_id(prefix: str) -> str:
    """An id of 128 random bits whose prefix says what it names, as `rdm_…`."""
    return f"{prefix}_{os.urandom(16).hex()}"


def new_code() -> str:
    """A coupon code of 80 random bits, as it is stored."""
    # Ten bytes make exactly 16 characters, without padding.
    return b32encode(os.urandom(CODE_LENGTH * 5 // 8)).decode().translate(_TO_CROCKFORD)


def normal_code(typed: str) -> str:
    """The stored form of a code as somebody typed it: upper case, no dashes or blanks, misread letters corrected."""
    return typed.upper().translate(_MISREAD)


def chosen_code(typed: str) -> str:
    """The stored form of a code that somebody made up, as WELCOME-10; raises BadInput when it is none."""
    code = normal_code(typed)
    if not re.fullmatch(r"[0-9A-Z]{4,64}", code):
        raise BadInput(f"code {typed!r} is not 4 to 64 letters A-Z and digits", pointer="/code")
    return code


def new_serial() -> str:
    """A random serial of twelve digits, as many as GS1 allows after a coupon number: 40 bits, so no secret."""
    return f"{secrets.randbelow(10**12):012d}"


def shown_code(code: str) -> str:
    """A random code in groups of four, as people read it."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
