"""A basket as it was sent becomes the basket that coupons are judged on: priced in one currency, products described."""

from collections.abc import Mapping, Sequence

from app.api.state import Service
from app.api.till_wire import BasketRequest, LineRequest
from app.errors import InvalidRequest
from app.model.bundle import Catalogue
from app.offers.basket import Basket, BasketLine
from app.offers.money import MAX_MINOR, exact, half_up


def basket_of(service: Service, asked: BasketRequest, promised_minor: Mapping[str, int]) -> Basket:
    """The basket, no piece dearer than the price promised for its product by `promised_minor`; raises InvalidRequest for a line_id that comes twice and for money beyond what JSON keeps exactly."""
    bundle = service.live.bundle
    catalogue = None if bundle is None else bundle.catalogue
    lines = tuple(
        _line(number, line, catalogue, promised_minor.get(line.product_id)) for number, line in enumerate(asked.lines)
    )
    _check_line_ids([line.line_id for line in lines])
    basket = Basket(lines, asked.currency or service.settings.currency)
    if basket.total_minor > MAX_MINOR:
        raise InvalidRequest(f"/lines: the basket costs more than {MAX_MINOR}", pointer="/lines")
    return basket


def _line(number: int, line: LineRequest, catalogue: Catalogue | None, prices_minor: Mapping[str, int]) -> BasketLine:
    attributes = line.attributes if catalogue is None else {**line.attributes, **_known(line.product_id, catalogue)}
    amount_minor = line.amount_minor
    if amount_minor is None:
        amount_minor = _pieces_minor(number, line, prices_minor)
    return BasketLine(line.line_id or str(number + 1), line.product_id, line.quantity, amount_minor, attributes)


def _pieces_minor(number: int, line: LineRequest, prices_minor: Mapping[str, int]) -> int:
    """What all pieces cost; part of a unit, as of something weighed, is rounded half up."""
    price_minor = prices_minor.get(line.product_id) if line.unit_price_minor is None else line.unit_price_minor
    if price_minor is None:
        told = "give unit_price_minor, amount_minor, or the decision_id of a decision that showed its price"
        raise InvalidRequest(f"/lines/{number}: {told}", pointer=f"/lines/{number}")
    amount = price_minor * exact(line.quantity)
    amount_minor = half_up(amount.numerator, amount.denominator)
    if amount_minor > MAX_MINOR:
        pointer = f"/lines/{number}/unit_price_minor"
        raise InvalidRequest(f"{pointer}: the line costs more than {MAX_MINOR}", pointer=pointer)
    return amount_minor


def _known(product_id: str, catalogue: Catalogue) -> Mapping[str, str]:
    """What the catalogue says of the product; nothing of one that it does not have."""
    item = catalogue.item_of.get(product_id)
    if item is None:
        return {}
    codes = {name: int(attribute.codes[item]) for name, attribute in catalogue.attributes.items()}
    return {name: catalogue.attributes[name].vocabulary[code] for name, code in codes.items() if code >= 0}


def _check_line_ids(line_ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, line_id in enumerate(line_ids):
        if line_id in seen:
            pointer = f"/lines/{number}/line_id"
            raise InvalidRequest(f"{pointer}: line {line_id!r} comes twice", pointer=pointer)
        seen.add(line_id)
