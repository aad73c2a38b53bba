"""Generated histories of stock reports, and the naive model of what they amount to."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from app.places.reports import Outcome
from app.places.stock import StockHistory, StockReport

START = datetime(2026, 11, 20, 6, tzinfo=UTC)
HISTORIES = 500


def history_of(seed: int, *, days: float = 1.0) -> list[StockReport]:
    """What some senders report in so many days, in the order of their doing; clocks are off and jitter.

    Among them are equal times, equal sequences with other quantities, and event ids that are used again.
    """
    random = Random(seed)
    reports: list[StockReport] = []
    for number in range(random.randint(1, 4)):
        reports += _reports_of(f"sender-{number}", random, days=days)
    return sorted(reports, key=lambda report: report.at)


def _reports_of(sender: str, random: Random, *, days: float) -> list[StockReport]:
    kind = random.choice(["sequence", "time", "both"])
    offset_s, jitter_s = random.choice([0, 0, -30, 120]), random.choice([0, 1, 20])
    absolutes = random.choice([0.0, 0.1, 0.5, 1.0])
    times = sorted(random.randrange(int(days * 86_400)) for _ in range(random.randint(0, 12 + int(4 * days))))
    reports: list[StockReport] = []
    for sequence, time_s in enumerate(times, start=1):
        at = START + timedelta(seconds=time_s + offset_s + random.randint(-jitter_s, jitter_s))
        is_sequenced = kind == "sequence" or (kind == "both" and random.random() < 0.5)
        key = sequence if random.random() < 0.95 else max(1, sequence - 1)
        event_id = f"{sender}-{sequence if random.random() < 0.97 else max(1, sequence - 1)}"
        amount = {"quantity_milli": random.randrange(50) * 1000}
        if random.random() >= absolutes:
            amount = {"change_milli": random.randint(-5, 5) * 500}
        reports.append(StockReport(sender, event_id, at, key if is_sequenced else None, **amount))
    return reports


def arrivals(reports: Sequence[StockReport], random: Random) -> list[StockReport]:
    """The reports in any order, a third of them repeatedly."""
    repeated = [report for report in reports if random.random() < 0.33]
    return random.sample([*reports, *repeated, *repeated[::2]], k=len(reports) + len(repeated) + len(repeated[::2]))


def applied(reports: Iterable[StockReport], history: StockHistory | None = None) -> StockHistory:
    """The history with all of them, one after the other."""
    history = history or StockHistory()
    for report in reports:
        history, outcome = history.applied(report)
        assert outcome is not Outcome.TOO_LATE
    return history


def expected_milli(reports: Sequence[StockReport]) -> int | None:
    """The quantity that the set of reports amounts to, by comparing each with each."""
    absolutes = [report for report in reports if report.quantity_milli is not None]
    changes = [report for report in reports if report.change_milli is not None]
    if not absolutes:
        return None
    newest = max(absolutes, key=lambda one: (one.at, one.sender, one.sequence is not None))
    of_newest = [one for one in absolutes if _is_one_stream(one, newest)]
    highest = max(_place(one) for one in of_newest)
    total = min(one.quantity_milli or 0 for one in of_newest if _place(one) == highest)
    alive = [one for one in changes if not any(_ends(absolute, one) for absolute in absolutes)]
    for event in {(one.sender, one.event_id) for one in alive}:
        words = [one for one in alive if (one.sender, one.event_id) == event]
        total += max(words, key=lambda one: (one.at, _place(one), one.change_milli or 0)).change_milli or 0
    return total


def _ends(absolute: StockReport, change: StockReport) -> bool:
    if _is_one_stream(absolute, change):
        return _place(absolute) >= _place(change)
    return absolute.at >= change.at


def _is_one_stream(one: StockReport, other: StockReport) -> bool:
    return one.sender == other.sender and (one.sequence is None) == (other.sequence is None)


def _place(report: StockReport) -> float:
    return report.sequence if report.sequence is not None else report.at.timestamp()
