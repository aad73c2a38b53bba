"""Coupons in GS1's world: the Global Coupon Number (255) that names an offer, its serial, and the element strings
that barcodes hold."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import date

from app.errors import BadInput

COUPON_NUMBER = "255"
EXPIRY = "17"
FNC1 = "\x1d"
"""What scanners send for the character that ends an element of variable length."""
SYMBOLOGIES = ("]C1", "]e0", "]d2", "]Q3", "]J1")
"""What scanners may send first: GS1-128, DataBar, DataMatrix, QR Code, DotCode."""

_VALUES: Mapping[str, tuple[str, str]] = {
    COUPON_NUMBER: (r"\d{13,25}", "13 digits and a serial of up to 12"),
    EXPIRY: (r"\d{6}", "a date as YYMMDD"),
    **{f"390{decimals}": (r"\d{1,15}", "an amount of up to 15 digits") for decimals in range(10)},
    **{f"394{decimals}": (r"\d{4}", "a percentage of 4 digits") for decimals in range(4)},
    "8111": (r"\d{4}", "4 digits of points"),
    "8112": (r"[01][0-6]\d{13,40}", "a format 0 or 1, a funder's length 0 to 6 and its parts in digits"),
}
"""Of coupons, in the GS1 General Specifications, 3.2: what each value looks like."""


def check_digit(digits: str) -> int:
    """GS1's modulo-10 check digit of the digits before it (GS1 General Specifications, 7.9.1)."""
    weighted = (int(digit) * (3 if position % 2 == 0 else 1) for position, digit in enumerate(reversed(digits)))
    return -sum(weighted) % 10


def gcn_of(digits: str) -> str:
    """The number of twelve digits (company prefix and coupon reference) with its check digit; raises ValueError."""
    if not re.fullmatch(r"[0-9]{12}", digits):
        raise ValueError("Input should be 12 digits: the number without its check digit")
    return digits + str(check_digit(digits))


def checked_gcn(gcn: str) -> str:
    """The number itself; raises ValueError when it is none."""
    if not re.fullmatch(r"[0-9]{13}", gcn):
        raise ValueError("Input should be 13 digits, the last one the check digit")
    if check_digit(gcn[:12]) != int(gcn[12]):
        raise ValueError(f"Input has the check digit {gcn[12]}; {check_digit(gcn[:12])} fits the digits before it")
    return gcn


def element_string(gcn: str, serial: str, *, expires_on: date | None = None) -> str:
    """The coupon's element string as people write it: (255), GCN and serial, (17) and the last day it is good on."""
    expiry = "" if expires_on is None else f"({EXPIRY}){expires_on:%y%m%d}"
    return f"({COUPON_NUMBER}){gcn}{serial}{expiry}"


def parse_element_string(text: str) -> dict[str, str]:
    """The values by application identifier, in their order; raises BadInput saying what is wrong.

    Reads what people write, (255)…(17)…, and what scanners send: digits with FNC1 (as the control character GS) between
    them, with or without the symbology's mark in front. Knows the identifiers of coupons alone.
    """
    # Blanks alone: strip() without them takes FNC1 as well, which Python counts as white space.
    given = text.strip(" ")
    for symbology in SYMBOLOGIES:
        given = given.removeprefix(symbology)
    elements = _bracketed(given) if given.startswith("(") else _plain(given.removeprefix(FNC1))
    values: dict[str, str] = {}
    for identifier, value in elements:
        if identifier in values:
            raise BadInput(f"({identifier}) is duplicated; a coupon has it once")
        _check(identifier, value)
        values[identifier] = value
    _check_together(values)
    return values


def _bracketed(text: str) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"(?:\([0-9]{2,4}\)[^()]*)+", text):
        raise BadInput("an element string is written as (identifier)value, again and again")
    yield from re.findall(r"\(([0-9]{2,4})\)([^()]*)", text)


def _plain(text: str) -> Iterator[tuple[str, str]]:
    rest = text
    while rest:
        identifier = next((known for known in _VALUES if rest.startswith(known)), None)
        if identifier is None:
            raise BadInput(f"{rest[:4]!r} begins with no application identifier of a coupon")
        rest = rest[len(identifier) :]
        # Of these only the date has a length that needs no character at its end.
        length = 6 if identifier == EXPIRY else (rest + FNC1).index(FNC1)
        yield identifier, rest[:length]
        rest = rest[length:].removeprefix(FNC1)


def _check(identifier: str, value: str) -> None:
    if identifier not in _VALUES:
        raise BadInput(f"({identifier}) is no application identifier of a coupon")
    pattern, meaning = _VALUES[identifier]
    # Without re.ASCII \d would match the digits of every script.
    if not re.fullmatch(pattern, value, re.ASCII):
        raise BadInput(f"({identifier}){value} should be {meaning}")
    if identifier == COUPON_NUMBER:
        try:
            checked_gcn(value[:13])
        except ValueError as error:
            raise BadInput(f"({identifier}){value}: {error}") from None
    elif identifier == EXPIRY:
        _check_date(value)
    elif identifier == "8112":
        _check_north_american(value)


def _check_date(value: str) -> None:
    year, month, day = 2000 + int(value[:2]), int(value[2:4]), int(value[4:])
    # Day 00 stands for the last one of its month.
    if not 1 <= month <= 12 or day > monthrange(year, month)[1]:
        raise BadInput(f"({EXPIRY}){value} is no day, written YYMMDD")


def _check_north_american(value: str) -> None:
    """Format, funder id of 6 digits and as many more as its first digit says, offer of 6, serial as the funder."""
    funder_end = 2 + 6 + int(value[1])
    serial_start = funder_end + 6
    length = serial_start + 1 + 6 + int(value[serial_start]) if serial_start < len(value) else serial_start + 7
    if len(value) != length:
        raise BadInput(f"(8112){value} has {len(value)} digits; its lengths add up to {length}")


def _check_together(values: Mapping[str, str]) -> None:
    worth = [identifier for identifier in values if identifier[:3] in ("390", "394") or identifier == "8111"]
    if len(worth) > 1:
        raise BadInput(f"({worth[0]}) and ({worth[1]}) exclude each other: amount, percentage or points")
    for identifier in [*worth, *(known for known in values if known == EXPIRY)]:
        if COUPON_NUMBER not in values:
            raise BadInput(f"({identifier}) needs the coupon number ({COUPON_NUMBER}) too")
    if not values:
        raise BadInput("an element string is empty")
