"""Till receipts as receipt conditions see them: which lines count, what is left after refunds, and which day it is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.baskets.reports import ReportedLine, counted_lines
from app.domain import PURCHASE, REFUND, TRADES, Event, event_of
from app.offers.rules.condition_check import unmet
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.money import shares
from app.offers.terms.terms import ByReceipt
from app.offers.terms.time_zones import day_start, local_date


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One purchase or refund event of a receipt. `amount_minor` is signed: a refund's is at most 0.

    `event_id` is the event's key. `occurred_at` is the till's instant, `accepted_at` the service's.
    """

    receipt_id: str
    event_id: str
    kind: str
    product_id: str
    quantity: float
    amount_minor: int
    currency: str
    customer_id: str | None
    channel: str | None
    store_id: str | None
    occurred_at: datetime
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """The lines of one receipt in the order they were accepted, repeats included, and its products' attributes."""

    receipt_id: str
    purchases: tuple[ReceiptLine, ...]
    refunds: tuple[ReceiptLine, ...]
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def customer_id(self) -> str | None:
        """Whose it is: the first purchase says."""
        return self.purchases[0].customer_id

    @property
    def currency(self) -> str:
        """The one currency of its lines."""
        return self.purchases[0].currency

    @property
    def bought_at(self) -> datetime:
        """When the first purchase was made."""
        return min(line.occurred_at for line in self.purchases)


def receipt_line(event: Event, *, accepted_at: datetime, default_currency: str) -> ReceiptLine | None:
    """The event as a line; None for what is on no receipt: other events, no basket, voided, or nobody's purchase.

    A refund need not say whose: the purchase does.
    """
    if event.type not in TRADES or event.basket_id is None or event.product_id is None:
        return None
    if event.quantity == 0:
        return None
    if event.type == PURCHASE and event.customer_id is None:
        return None
    amount_minor = event.amount_minor or 0
    return ReceiptLine(
        receipt_id=event.basket_id,
        event_id=event.key,
        kind=event.type,
        product_id=event.product_id,
        quantity=event.quantity,
        amount_minor=-abs(amount_minor) if event.type == REFUND else amount_minor,
        currency=event.currency or default_currency,
        customer_id=event.customer_id,
        channel=event.channel,
        store_id=event.store_id,
        occurred_at=event.time,
        accepted_at=accepted_at,
    )


def receipt_of(lines: Iterable[ReceiptLine], attributes: Mapping[str, Mapping[str, str]]) -> Receipt | None:
    """The receipt that these lines, all of one, make in whatever order they came; None without a purchase.

    The first purchase sets customer and currency; lines of others do not count. Lines that report the sale once more
    are still among them: which of them count, `check_receipt` says of those that came in time.
    """
    ordered = sorted(lines, key=lambda line: (line.accepted_at, line.event_id))
    first = next((line for line in ordered if line.kind == PURCHASE), None)
    if first is None:
        return None
    ours = [line for line in ordered if line.currency == first.currency]
    return Receipt(
        first.receipt_id,
        tuple(line for line in ours if line.kind == PURCHASE and line.customer_id == first.customer_id),
        tuple(line for line in ours if line.kind == REFUND),
        attributes,
    )


def _reported(line: ReceiptLine) -> ReportedLine:
    # Without the store: a receipt's id is its own in all of them (docs/issuing.md).
    return ReportedLine(
        line.kind,
        line.product_id,
        line.quantity,
        line.amount_minor,
        line.occurred_at,
        *event_of(line.event_id),
    )


def is_in_time(line: ReceiptLine, terms: ByReceipt, *, time_zone: str) -> bool:
    """True when the line came in on the day it was bought, in the store's time zone, or little enough after it."""
    if not terms.same_day:
        return True
    bought_on = local_date(line.occurred_at, time_zone)
    if local_date(line.accepted_at, time_zone) == bought_on:
        return True
    late = line.accepted_at - day_start(bought_on + timedelta(days=1), time_zone)
    # Below zero the till's clock runs ahead: that day has not come, and the line does not count.
    return terms.grace_minutes > 0 and timedelta() <= late <= timedelta(minutes=terms.grace_minutes)


@dataclass(frozen=True, slots=True)
class ReceiptCheck:
    """Whether a receipt earns a coupon as it was bought, and as it stands after refunds."""

    met_when_bought: bool
    met_now: bool


def check_receipt(receipt: Receipt, terms: ByReceipt, *, tier: str | None, time_zone: str) -> ReceiptCheck:
    """Whether the receipt meets these terms; purchases that came in too late do not count, refunds always do.

    Of what was reported more than once each line counts once (`app/baskets/reports.py`).
    """
    in_time = [line for line in receipt.purchases if is_in_time(line, terms, time_zone=time_zone)]
    counted = counted_lines([*in_time, *receipt.refunds], _reported)
    purchases = [line for line in counted if line.kind == PURCHASE]
    first = receipt.purchases[0]
    situation = Situation(receipt.bought_at, receipt.customer_id, tier, first.channel, first.store_id)

    def is_met(lines: Sequence[ReceiptLine]) -> bool:
        basket = Basket(_basket_lines(lines, receipt.attributes), receipt.currency)
        return bool(purchases) and unmet(terms.condition, basket, situation) is None

    return ReceiptCheck(is_met(purchases), is_met(counted))


def _basket_lines(lines: Sequence[ReceiptLine], attributes: Mapping[str, Mapping[str, str]]) -> tuple[BasketLine, ...]:
    """One line per product with what is left of it; money taken off beyond a product, as by a rebate or a refund of
    something else, comes off the others by their amounts."""
    amounts: Counter[str] = Counter()
    quantities: dict[str, float] = {}
    for line in lines:
        amounts[line.product_id] += line.amount_minor
        signed = -line.quantity if line.kind == REFUND else line.quantity
        # Sums of floats are a little off, and what came back as a whole must leave exactly 0.
        quantities[line.product_id] = round(quantities.get(line.product_id, 0.0) + signed, 6)
    left = {product_id: max(amount_minor, 0) for product_id, amount_minor in amounts.items()}
    excess_minor = sum(left.values()) - max(sum(amounts.values()), 0)
    taken = shares(excess_minor, list(left.values()))
    return tuple(
        BasketLine(product_id, product_id, max(quantities[product_id], 0.0), amount_minor - off_minor,
                   attributes.get(product_id, {}))
        for (product_id, amount_minor), off_minor in zip(left.items(), taken, strict=True)
    )  # fmt: skip
