"""Ids and coupon codes: random, and codes so that people can read them out and type them in."""

import os
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no I, L, O or U, which are taken for other signs."""
CODE_LENGTH = 16
"""Sixteen signs of five bits: 80 random bits."""
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def new_id(prefix: str) -> str:
    """An id of 128 random bits that tells by its prefix what it names, as `rdm_…`."""
    return f"{prefix}_{os.urandom(16).hex()}"


def new_code() -> str:
    """A coupon code of 80 random bits, as it is stored."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def normal_code(typed: str) -> str:
    """The stored form of a code as somebody typed it: upper case, no dashes or blanks, misread letters mended."""
    return typed.upper().translate(_MISREAD)


def shown_code(code: str) -> str:
    """The code in groups of four, as people read it."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
