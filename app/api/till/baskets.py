"""A basket as it was sent becomes the one that coupons are checked on: in one currency, products described."""

from collections.abc import Callable, Mapping, Sequence

from app.api.state import Service
from app.api.till.wire import BasketRequest, LineRequest
from app.errors import InvalidRequest, StoreUnavailable
from app.model.bundle import Catalogue
from app.model.known_attributes import known_attributes
from app.offers.terms.basket import Basket, BasketLine
from app.offers.terms.money import MAX_MINOR, exact, half_up
from app.places.stores import EVERYWHERE

MAX_BASKET_MINOR = 10**11
"""A billion euros; what the points of the most generous offer cost then still fits into the ledger's 64 bits."""
Prices = Mapping[tuple[str, str], int]
"""Minor units of one piece by product id and currency, as a decision showed them."""
PriceOf = Callable[[str], int | None]
"""What a piece of a product costs, in minor units; None where that is not known."""


def basket_of(service: Service, request: BasketRequest, guaranteed_minor: Prices) -> Basket:
    """The basket, no piece of it dearer than a decision's guarantee, which also prices a line that names none.

    Without a guarantee such a line costs what the store charges now. Raises InvalidRequest for a line of which no
    price is known, a repeated line_id, and money beyond what JSON keeps exactly, StoreUnavailable while the stores'
    prices have not been read.
    """
    bundle = service.live.bundle
    catalogue = None if bundle is None else bundle.catalogue
    currency = request.currency or service.settings.currency

    def live_minor(product_id: str) -> int | None:
        return _live_minor(service, catalogue, product_id, store_id=request.store_id, currency=currency)

    lines = tuple(
        _line(number, line, catalogue, guaranteed_minor.get((line.product_id, currency)), live_minor)
        for number, line in enumerate(request.lines)
    )
    _check_line_ids([line.line_id for line in lines])
    basket = Basket(lines, currency)
    if basket.total_minor > MAX_BASKET_MINOR:
        raise InvalidRequest(f"/lines: the basket costs more than {MAX_BASKET_MINOR}", pointer="/lines")
    return basket


def _line(
    number: int, line: LineRequest, catalogue: Catalogue | None, guaranteed_minor: int | None, live_minor: PriceOf
) -> BasketLine:
    attributes = (
        line.attributes if catalogue is None else {**line.attributes, **known_attributes(line.product_id, catalogue)}
    )
    amount_minor = _amount_minor(number, line, guaranteed_minor, live_minor)
    return BasketLine(line.line_id or str(number + 1), line.product_id, line.quantity, amount_minor, attributes)


def _amount_minor(number: int, line: LineRequest, guaranteed_minor: int | None, live_minor: PriceOf) -> int:
    """What the line costs as it was sent or as it is guaranteed, whichever is less; else what its product costs now."""
    amounts = [] if line.amount_minor is None else [line.amount_minor]
    prices = [price_minor for price_minor in (line.unit_price_minor, guaranteed_minor) if price_minor is not None]
    if not amounts and not prices:
        price_minor = live_minor(line.product_id)
        if price_minor is None:
            remedy = "give unit_price_minor, amount_minor, or the decision_id of a decision that shows its price"
            fault = f"no price of product {line.product_id!r} is known here"
            raise InvalidRequest(f"/lines/{number}: {fault}; {remedy}", pointer=f"/lines/{number}")
        prices = [price_minor]
    amounts += [_pieces_minor(price_minor, line.quantity) for price_minor in prices]
    if min(amounts) > MAX_MINOR:
        pointer = f"/lines/{number}/unit_price_minor"
        raise InvalidRequest(f"{pointer}: the line costs more than {MAX_MINOR}", pointer=pointer)
    return min(amounts)


def _live_minor(
    service: Service, catalogue: Catalogue | None, product_id: str, *, store_id: str | None, currency: str
) -> int | None:
    """The price of the store, else what counts everywhere, else what the product table says; all in `currency`."""
    places, retailers = service.places, service.settings.currency
    if places.checked_s is None:
        raise StoreUnavailable("the prices of stores have not been read yet; send it again, or with unit_price_minor")
    store = None if store_id is None else places.map.stores.get(store_id)
    currencies = {EVERYWHERE: retailers}
    if store is not None:
        currencies = {store.store_id: store.currency or retailers} | currencies
    price_minor = places.tables.price_minor([name for name in currencies if currencies[name] == currency], product_id)
    if price_minor is not None or catalogue is None or (catalogue.currency or retailers) != currency:
        return price_minor
    item = catalogue.item_of.get(product_id)
    # Other prices of the catalogue are what was paid in the mean: nobody ever charged that.
    return None if item is None or not catalogue.is_listed[item] else int(catalogue.price_minor[item])


def _pieces_minor(price_minor: int, quantity: float) -> int:
    """What so many pieces cost; part of a unit, as of something weighed, is rounded half up."""
    amount = price_minor * exact(quantity)
    return half_up(amount.numerator, amount.denominator)


def _check_line_ids(line_ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, line_id in enumerate(line_ids):
        if line_id in seen:
            pointer = f"/lines/{number}/line_id"
            raise InvalidRequest(f"{pointer}: line {line_id!r} is duplicated", pointer=pointer)
        seen.add(line_id)
