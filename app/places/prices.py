"""The price of one product in one store, as reported, and the earlier price that a reduction may name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain import JsonObject
from app.places.reports import (
    Outcome,
    Report,
    Statement,
    Statements,
    counting_stream,
    instant,
    outcome_of,
    rows_of,
    settled,
    settled_before_us,
    stated,
    statements_of,
)


class Price(NamedTuple):
    """In the order in which the first of two at one key counts: no price of its own, then the lower."""

    is_set: bool
    minor: int
    currency: str

    @staticmethod
    def of(price_minor: int | None, currency: str) -> "Price":
        """None: no price of its own."""
        return Price(price_minor is not None, price_minor or 0, currency)

    @property
    def price_minor(self) -> int | None:
        """None: no price of its own."""
        return self.minor if self.is_set else None


@dataclass(frozen=True, slots=True)
class PriceReport(Report):
    """A price from `at` on; None: what counts everywhere counts here again."""

    price_minor: int | None
    currency: str

    @property
    def price(self) -> Price:
        """What it says."""
        return Price.of(self.price_minor, self.currency)


class PricePoint(NamedTuple):
    """From this instant on this price counts."""

    effective_at: datetime
    price: Price


@dataclass(frozen=True, slots=True)
class PriceStatements:
    """What is kept of the reports of one price: the last statement of each stream."""

    statements: Statements[Price] = field(default_factory=dict)

    @property
    def current(self) -> PricePoint | None:
        """What the counting stream states, as of its latest time; None before the first report."""
        counting = counting_stream(self.statements)
        return None if counting is None else _point(self.statements[counting])

    def applied(self, report: PriceReport) -> tuple["PriceStatements", Outcome]:
        """The statements with this report, and what became of that."""
        statements = stated(self.statements, report, value=report.price)
        outcome = outcome_of(report, value=report.price, before=self.statements, after=statements)
        return PriceStatements(statements), outcome

    def settled(self, now: datetime) -> "PriceStatements":
        """The same price from less: without what nothing that is still accepted can change."""
        return PriceStatements(settled(self.statements, before_us=settled_before_us(now)))

    def document(self) -> JsonObject:
        """The statements for a JSON column."""
        return {"stated": rows_of(self.statements, row_of=list)}

    @staticmethod
    def of_document(document: JsonObject) -> "PriceStatements":
        """What `document` wrote."""
        return PriceStatements(statements_of(document["stated"], value_of=lambda row: Price(*row)))


def _point(statement: Statement[Price]) -> PricePoint:
    return PricePoint(instant(statement.latest_us), statement.value)


def recorded(
    history: Mapping[datetime, Price], report: PriceReport, *, after: PriceStatements
) -> dict[datetime, Price]:
    """The history, by instants, with a report: it counts from its time on, and of several at that time the lowest.

    What counts `after` it has the last word at its own instant.
    """
    assert after.current is not None
    earlier = history.get(report.at, report.price)
    return {**history, report.at: min(earlier, report.price), after.current.effective_at: after.current.price}


def without_repetitions(points: Sequence[PricePoint], *, now: datetime) -> list[PricePoint]:
    """The points, which ascend, without those that only repeat the one before, where none can come in between now."""
    before = instant(settled_before_us(now))
    return [
        point
        for number, point in enumerate(points)
        if number == 0 or point.price != points[number - 1].price or point.effective_at >= before
    ]


def changes_of(points: Iterable[PricePoint]) -> list[PricePoint]:
    """Those of the points, which ascend, that have another price than the one before."""
    changes: list[PricePoint] = []
    for point in points:
        if not changes or changes[-1].price != point.price:
            changes.append(point)
    return changes


def in_store(own: Sequence[PricePoint], everywhere: Sequence[PricePoint]) -> list[PricePoint]:
    """What customers paid in a store: its own price, and where it had none what counted everywhere."""
    own_at, everywhere_at = dict(own), dict(everywhere)
    points: list[PricePoint] = []
    here = there = Price(False, 0, "")
    for at in sorted(own_at.keys() | everywhere_at.keys()):
        here, there = own_at.get(at, here), everywhere_at.get(at, there)
        points.append(PricePoint(at, here if here.is_set else there))
    return points


class ProductFacts(NamedTuple):
    """How many days a product lasts, and since when it is listed; None unknown."""

    shelf_life_days: int | None = None
    listed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """Which earlier price a reduction may name: the lowest of so many `days` before it (Directive 98/6/EC, Article 6a).

    Member states may let perishable goods name the price just before: those that last no longer than
    `perishable_shelf_life_days`. `counts_from_listing`: they may let goods that were listed later than `days` before
    name the lowest since then. Without these exceptions such goods are treated as all others.
    """

    days: int = 30
    perishable_shelf_life_days: int | None = None
    counts_from_listing: bool = False

    @property
    def has_exceptions(self) -> bool:
        """True where it matters how long a product lasts, or since when it is listed."""
        return self.perishable_shelf_life_days is not None or self.counts_from_listing

    def is_perishable(self, shelf_life_days: int | None) -> bool:
        """True where goods that last so long (None: unknown) may name the price just before."""
        limit = self.perishable_shelf_life_days
        return limit is not None and shelf_life_days is not None and shelf_life_days <= limit


def reference_minor(
    history: Sequence[PricePoint],
    now: datetime,
    *,
    rules: ReferenceRules,
    is_perishable: bool = False,
    listed_at: datetime | None = None,
) -> int | None:
    """The price that the present one may be compared with as a reduction; None where it is none.

    That is the lowest price in the days before the present price took effect, if the present price is below it: a price
    that was raised for some days only, and cut again, is never named. None also where the history does not reach back
    so far, or holds another currency or a time without any price: what customers paid then is not known.
    """
    changes = changes_of(point for point in history if point.effective_at <= now)
    if len(changes) < 2:
        return None
    present = changes[-1]
    before = changes[-2:-1] if is_perishable else _window(changes, rules, listed_at=listed_at)
    prices = [point.price for point in before]
    if not prices or not all(price.is_set and price.currency == present.price.currency for price in prices):
        return None
    lowest = min(price.minor for price in prices)
    return lowest if present.price.is_set and present.price.minor < lowest else None


def _window(
    changes: Sequence[PricePoint], rules: ReferenceRules, *, listed_at: datetime | None
) -> Sequence[PricePoint]:
    """The prices that counted in the days before the last change; none where the first days are not known."""
    begin = changes[-1].effective_at - timedelta(days=rules.days)
    is_new = rules.counts_from_listing and listed_at is not None and listed_at > begin
    if is_new and listed_at is not None:
        begin = listed_at
    earlier = changes[:-1]
    begun = sum(point.effective_at <= begin for point in earlier)
    if begin >= changes[-1].effective_at or (not begun and not is_new):
        return ()
    return earlier[max(0, begun - 1) :]
