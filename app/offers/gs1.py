"""GS1's Global Coupon Number (application identifier 255): thirteen digits that name an offer, and a serial."""

import re


def check_digit(digits: str) -> int:
    """GS1's modulo-10 check digit of the digits before it (GS1 General Specifications, 7.9.1)."""
    weighted = (int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return -sum(weighted) % 10


def checked_gcn(gcn: str) -> str:
    """The number itself; raises ValueError when it is none."""
    if not re.fullmatch(r"[0-9]{13}", gcn):
        raise ValueError("Input should be 13 digits, the last one the check digit")
    if check_digit(gcn[:12]) != int(gcn[12]):
        raise ValueError(f"Input has the check digit {gcn[12]}; {check_digit(gcn[:12])} fits the digits before it")
    return gcn
