"""Reports of stock and prices as they come in: checked against the stores, then counted in one transaction."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, select

from app.ingest.places import PlaceOutcome, PlaceReport
from app.places.prices import PriceReport, ProductFacts, ReferenceRules
from app.places.reports import HORIZON, Outcome
from app.places.stock import StockReport
from app.places.stores import EVERYWHERE
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import stores
from app.stores.sql.places.prices import apply_prices
from app.stores.sql.places.stock import apply_stock

FactsOf = Callable[[Collection[str]], Mapping[str, ProductFacts]]
"""What the product table says of some products."""

_OUTCOMES = {
    Outcome.COUNTED: PlaceOutcome("accepted"),
    Outcome.DUPLICATE: PlaceOutcome("duplicate"),
    Outcome.SUPERSEDED: PlaceOutcome("accepted", "superseded", "something newer is known already, which counts"),
    Outcome.TOO_LATE: PlaceOutcome(
        "rejected", "too_late", f"it is over {HORIZON.days} days old; send what is true now, or import a file"
    ),
}


class SqlPlaceReports:
    """Takes reports, one transaction for each batch."""

    def __init__(self, ledger: Ledger, *, currency: str, rules: ReferenceRules, facts_of: FactsOf) -> None:
        self._ledger = ledger
        self._currency = currency
        self._rules = rules
        self._facts_of = facts_of

    async def report(self, reports: Sequence[PlaceReport], *, now: datetime) -> list[PlaceOutcome]:
        """What became of each report, in order. Raises StoreUnavailable when nothing is known to be safe."""
        return await asyncio.to_thread(self._report, reports, now)

    def _report(self, reports: Sequence[PlaceReport], now: datetime) -> list[PlaceOutcome]:
        priced = {one.product_id for one in reports if isinstance(one.report, PriceReport)}
        facts = self._facts_of(priced) if priced and self._rules.has_exceptions else {}
        return self._ledger.write(partial(self._count, reports=reports, facts=facts, now=now))

    def _count(
        self,
        connection: Connection,
        reports: Sequence[PlaceReport],
        facts: Mapping[str, ProductFacts],
        now: datetime,
    ) -> list[PlaceOutcome]:
        names = {one.store_id for one in reports}
        found = connection.execute(select(stores.c.store_id, stores.c.document).where(stores.c.store_id.in_(names)))
        currency_of = {store_id: document.get("currency") or self._currency for store_id, document in found}
        currency_of[EVERYWHERE] = self._currency
        refusals = [_refusal(one, currency_of) for one in reports]
        stock, prices = [], []
        for one, refusal in zip(reports, refusals, strict=True):
            if refusal is None and isinstance(one.report, StockReport):
                stock.append((one.store_id, one.product_id, one.report))
            elif refusal is None and isinstance(one.report, PriceReport):
                report = replace(one.report, currency=currency_of[one.store_id])
                prices.append((one.store_id, one.product_id, report))
        # Always in this order: each locks the numbers of its changes.
        of_stock = iter(apply_stock(connection, stock, now=now) if stock else [])
        of_prices = iter(apply_prices(connection, prices, rules=self._rules, now=now, facts=facts) if prices else [])
        return [
            refusal or _OUTCOMES[next(of_stock if isinstance(one.report, StockReport) else of_prices)]
            for one, refusal in zip(reports, refusals, strict=True)
        ]


def _refusal(one: PlaceReport, currency_of: Mapping[str, str]) -> PlaceOutcome | None:
    """Why a report cannot be counted, where that is so."""
    currency = currency_of.get(one.store_id)
    if currency is None:
        detail = f"/store_id: no store {one.store_id!r}; PUT /v1/stores/{one.store_id} or import it first"
        return PlaceOutcome("rejected", "store_not_found", detail)
    if isinstance(one.report, PriceReport) and one.report.currency not in ("", currency):
        detail = f"/price/currency: {one.report.currency} is not {currency}, the currency of the store"
        return PlaceOutcome("rejected", "currency_mismatch", detail)
    return None
