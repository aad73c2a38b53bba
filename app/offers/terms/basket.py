"""What an offer is checked on: the basket at the till or in the cart, and who buys it, where and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.settings import ProductSelector


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line; `amount_minor` is what the whole line costs before coupons, at least 0.

    `attributes` are the product's columns of the catalogue (category, brand, department, …).
    """

    line_id: str
    product_id: str
    quantity: float
    amount_minor: int
    attributes: Mapping[str, str] = field(default_factory=dict)

    def is_in(self, selected: ProductSelector) -> bool:
        """True when the selection names this line's product."""
        if selected.attribute is None:
            return self.product_id in selected.product_ids
        return self.attributes.get(selected.attribute) in selected.values


@dataclass(frozen=True, slots=True)
class Basket:
    """Lines with distinct `line_id`s, all in one currency."""

    lines: tuple[BasketLine, ...]
    currency: str

    @property
    def total_minor(self) -> int:
        """What all lines cost before coupons."""
        return sum(line.amount_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class Situation:
    """Who buys, where and when; None = not given, which meets no condition about it."""

    now_at: datetime
    customer_id: str | None = None
    tier: str | None = None
    channel: str | None = None
    store_id: str | None = None
