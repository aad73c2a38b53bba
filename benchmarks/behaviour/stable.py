"""A run's random ids, codes and instants become names that every run gives them, in the order they first appear."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import count
from operator import itemgetter
from typing import Any

ID = re.compile(
    r"(?P<version>\d{8}T\d{6}\.\d+Z-[0-9a-f]{8})"
    r"|\b(?P<prefix>[a-z]{2,8})_[0-9a-f]{32}\b"
    r"|\b(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
    r"|\b(?P<sha256>[0-9a-f]{64})\b|\b(?P<hex>[0-9a-f]{32})\b"
    r"|\b(?P<code>[0-9A-HJKMNP-TV-Z]{16}|(?i:[0-9A-HJKMNP-TV-Z]{4}-){3}(?i:[0-9A-HJKMNP-TV-Z]{4}))\b"
    r"|(?<=\(255\)\d{13})(?P<gs1>\d{12})|^(?P<serial>\d{12})$"
)
INSTANT = re.compile(
    r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?|\b(\d{4}-\d\d-\d\d)\b|^(\d{4}-(?:W\d\d|\d\d))$"
)
NAMES = re.compile(r"<\w+ \d+>(,<\w+ \d+>)+")
OFFER_ID = re.compile(r"[a-z]-[a-z]+")
"""Offers that the recording makes for decisions."""
RECENT = timedelta(days=400)
"""What is further from the recording is a fixed instant of the data or the script, and stays as it is."""
STEP_S = 300
"""Instants after now are kept as offsets in such steps: finer ones would differ with the machine's speed."""
VOLATILE_KEYS = frozenset({"seconds", "created_at", "published_at", "commit", "files", "entry_id"})
"""Keys whose values differ from run to run and say nothing of behaviour: times taken, when it was, sources, checksums,
and the numbers of entries that one redemption makes in the order of random ids."""
MANY = 200
"""Longer lists of plain values are kept as count, digest and their first entries."""
FIRST = 5


class StableNames:
    """Cleans documents of one recording; the same id has the same name in all of them.

    `replacements` are texts, as folders, and what is written instead.
    """

    def __init__(self, replacements: Mapping[str, str]) -> None:
        self._replacements = replacements
        self._names: dict[str, str] = {}
        self._numbers: dict[str, count[int]] = {}
        self._is_closed = False

    def clean(self, value: Any, *, now: datetime) -> Any:
        """The document with stable names; instants around `now` become offsets from it."""
        if isinstance(value, dict):
            kept = {self._text(str(key), now): inner for key, inner in value.items() if key not in VOLATILE_KEYS}
            return {key: self.clean(inner, now=now) for key, inner in kept.items()}
        if isinstance(value, list | tuple):
            return self._list(list(value), now)
        return self._text(value, now) if isinstance(value, str) else value

    def _list(self, values: list[Any], now: datetime) -> Any:
        if len(values) > MANY and not any(isinstance(value, dict | list) for value in values):
            return shortened([self.clean(value, now=now) for value in values])
        return [self.clean(value, now=now) for value in _in_stable_order(values)]

    def _text(self, text: str, now: datetime) -> str:
        for found, name in self._replacements.items():
            text = text.replace(found, name)
        text = ID.sub(self._name, text)
        if NAMES.fullmatch(text):
            return ",".join(sorted(text.split(",")))
        return INSTANT.sub(lambda found: _offset(found, now), text)

    def _name(self, found: re.Match[str]) -> str:
        kind = found.lastgroup or "id"
        if kind == "prefix":
            kind = found["prefix"]
        elif kind == "gs1":
            kind = "serial"
        # A code is written in several ways.
        text = found[0].replace("-", "").upper() if kind == "code" else found[0]
        key = f"{kind} {text}"
        if key not in self._names:
            if self._is_closed:
                return f"<{kind}>"
            self._names[key] = f"<{kind} {next(self._numbers.setdefault(kind, count(1)))}>"
        return self._names[key]

    @contextmanager
    def closed(self) -> Iterator[None]:
        """For this while nothing new gets a name of its own: for an order that new ids must not decide."""
        self._is_closed = True
        try:
            yield
        finally:
            self._is_closed = False


def shortened(values: list[Any]) -> dict[str, object]:
    """A long list as its count, a digest of all and the first entries."""
    digest = hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()
    return {"count": len(values), "sha256": digest, "first": values[:FIRST]}


def _in_stable_order(values: list[Any]) -> list[Any]:
    """What is in the order of coupon ids, which are random, by offer or amount; what is ranked stays."""
    if values and all(isinstance(value, str) and OFFER_ID.fullmatch(value) for value in values):
        return sorted(values)
    if not all(isinstance(value, dict) and "rank" not in value for value in values):
        return values
    if all("offer_id" in value or "offer" in value for value in values):
        return sorted(values, key=_offer_and_customer)
    if all("use_id" in value and "amount_minor" in value for value in values):
        return sorted(values, key=itemgetter("amount_minor"))
    return values


def _offer_and_customer(value: Mapping[str, Any]) -> tuple[str, ...]:
    """A code that nobody knows has no offer, but is the script's own."""
    offer_id = value["offer_id"] if "offer_id" in value else value["offer"]["offer_id"]
    return (str(value.get("code")) if offer_id is None else str(offer_id), str(value.get("customer_id")))


def _offset(found: re.Match[str], now: datetime) -> str:
    """The instant, day or period as it lies to `now`; the text itself when that is far away."""
    day, time, fraction, zone, bare_day, period = found.groups()
    if period is not None:
        year, week, _ = now.isocalendar()
        return {f"{year}-W{week:02d}": "<week>", f"{now:%Y-%m}": "<month>"}.get(period, period)
    if bare_day is not None:
        days = (_date(bare_day, now) - now.date()).days
        return f"<today{days:+d}d>" if abs(days) < RECENT.days else bare_day
    try:
        instant = datetime.fromisoformat(f"{day}T{time}{fraction or ''}{zone or '+00:00'}".replace("Z", "+00:00"))
    except ValueError:
        return found[0]
    if abs(instant - now) > RECENT:
        return found[0]
    if time == "00:00:00" and not float(fraction or 0):
        return f"<today{(instant.date() - now.date()).days:+d}d 00:00>"
    minutes = round((instant - now).total_seconds() / STEP_S) * STEP_S // 60
    return f"<now{minutes:+d}min>" if minutes > 0 else "<now or before>"


def _date(text: str, now: datetime) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return date.max
