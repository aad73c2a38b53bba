"""What a customer can have where they are, and what it costs there: places in the words of a question."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.decision.customer.context import Context
from app.domain import Ints, Mask, Option, Query
from app.model.bundle import Bundle
from app.places.feasible import Wanted
from app.places.live import LivePlaces, Place
from app.places.stores import Position, Way
from app.places.tables import ABSENT, Wide


class PricesHere(NamedTuple):
    """What n products cost where the customer is, -1 unknown, and by the product table alone, -1 where it says nothing.

    `is_shown`: where the price may be shown. `reference_minor`: what a reduction may name, -1 nothing.
    """

    minor: Wide
    listed_minor: Wide
    is_shown: Mask
    reference_minor: Wide | None

    @property
    def shown_minor(self) -> Wide:
        """The prices that may be shown, -1 where none may."""
        return np.where(self.is_shown, self.minor, ABSENT)


class Had(NamedTuple):
    """What n products cost where the customer is, and how they can have each; None where nobody knows."""

    prices: PricesHere
    options: Sequence[Sequence[Option] | None]

    def part(self, start: int, end: int) -> "Had":
        """The same of the products from `start` to `end`."""
        minor, listed_minor, is_shown, reference_minor = self.prices
        reference = None if reference_minor is None else reference_minor[start:end]
        prices = PricesHere(minor[start:end], listed_minor[start:end], is_shown[start:end], reference)
        return Had(prices, self.options[start:end])

    def shown_minor(self) -> list[int | None]:
        """The prices that may be shown."""
        return _known(self.prices.shown_minor)

    def references_minor(self) -> list[int | None]:
        """The prices that reductions may name."""
        reference_minor = self.prices.reference_minor
        return [None] * len(self.options) if reference_minor is None else _known(reference_minor)


def had_here(context: Context, items: Ints) -> Had:
    """Both at once: to look products up a second time takes as long for one as for twenty."""
    prices = prices_here(context, items)
    return Had(prices, options_here(context, items, prices))


def _known(minor: Wide) -> list[int | None]:
    return [one if one != ABSENT else None for one in minor.tolist()]


def place_of(query: Query, bundle: Bundle, places: LivePlaces | None) -> Place | None:
    """What this question may have; None where nothing is known of places."""
    return None if places is None else places.place(wanted_of(query), bundle, now=query.now_at)


def wanted_of(query: Query) -> Wanted:
    """Where, how and by when."""
    return Wanted(
        query.store_id,
        query.pickup_store_id,
        None if query.position is None else Position(*query.position),
        frozenset(map(Way, query.fulfilment)),
        query.deliver_by_at,
    )


def prices_here(context: Context, items: Ints) -> PricesHere:
    """The price of the customer's store, else the product table's; raises nothing for a product without a price.

    In a store with another currency than the product table's no price but its own counts.
    """
    catalogue = context.bundle.catalogue
    if currency_of_place(context) is None:
        minor, is_listed = catalogue.price_minor.take(items), catalogue.is_listed.take(items)
    else:
        minor, is_listed = np.full(len(items), ABSENT, np.int64), np.zeros(len(items), np.bool_)
    listed = np.where(is_listed, minor, ABSENT)
    here = None if context.place is None else context.place.prices(items)
    if here is None:
        return PricesHere(minor, listed, is_listed, reference_minor=None)
    is_own = here.minor != ABSENT
    return PricesHere(np.where(is_own, here.minor, minor), listed, is_listed | is_own, here.reference_minor)


def currency_of_place(context: Context) -> str | None:
    """Of all prices where the customer is, if that is not the product table's."""
    return None if context.place is None else context.place.currency


def currency_here(context: Context) -> str | None:
    """Of all prices where the customer is; None where nothing says another one than ENDCAP_CURRENCY."""
    return currency_of_place(context) or context.bundle.catalogue.currency


def options_here(context: Context, items: Ints, prices: PricesHere) -> Sequence[Sequence[Option] | None]:
    """Per item each way in which the customer can have it; None where nobody knows."""
    if context.place is None or not context.place.has_options:
        return [None] * len(items)
    return context.place.options(items, prices.listed_minor)
