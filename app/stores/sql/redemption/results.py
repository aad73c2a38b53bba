"""What became of a write at the till: results that the edge renders, without a word of HTTP in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.stores.sql.redemption.question import Quote

Document = Mapping[str, object]
"""Plain types that JSON knows, and instants."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The best combination was redeemed. `stale_subjects` here and below: whose projections are stale now."""

    redemption_id: str
    order_id: str
    redeemed_at: datetime
    quote: Quote
    stale_subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """The best combination is held; `document` is what the reservation keeps of it."""

    document: Document
    stale_subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was redeemed or held; `code` is stable and public, the quote has the reason of every coupon."""

    code: str
    detail: str
    quote: Quote


@dataclass(frozen=True, slots=True)
class Released:
    """A reservation holds nothing any more; `document` shows it with its status now."""

    document: Document
    stale_subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What came back of a redemption, which may be nothing, and how it stands now."""

    document: Document
    stale_subjects: tuple[str, ...]
