"""Frozen types that cross borders: what flows between wire, pipeline, stores and training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, NewType

import numpy as np
import numpy.typing as npt

ProductId = NewType("ProductId", str)
"""A product's name outside, as the retailer writes it."""
ItemIdx = NewType("ItemIdx", int)
"""A product's row inside one bundle; means nothing outside that bundle."""

JsonObject = dict[str, Any]
"""A JSON object on its way in or out; the schema of its route or column says what the values are."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


class Channel(StrEnum):
    """Where the customer is met."""

    WEB = "web"
    APP = "app"
    STORE = "store"
    EMAIL = "email"
    PUSH = "push"
    SOCIAL = "social"
    QR = "qr"
    KIOSK = "kiosk"
    CALL = "call"


class Scope(StrEnum):
    """What an API key lets its owner do; ADMIN lets everything, the others themselves alone (docs/access.md)."""

    DECIDE = "decide"
    INGEST = "ingest"
    IMPORT = "import"
    REDEEM = "redeem"
    CUSTOMERS = "customers"
    STAFF = "staff"
    ADMIN = "admin"


class Degraded(StrEnum):
    """Why an answer is less than full; the values are public (docs/degradation.md)."""

    FEATURES_STALE = "features_stale"
    FEATURES_MISSING = "features_missing"
    CUSTOMER_UNKNOWN = "customer_unknown"
    PRODUCTS_UNKNOWN = "products_unknown"
    MODEL_UNAVAILABLE = "model_unavailable"
    OVERLOAD = "overload"
    BUNDLE_MISSING = "bundle_missing"
    SLATE_SHORT = "slate_short"
    STOCK_STALE = "stock_stale"
    COUPONS_UNKNOWN = "coupons_unknown"
    CONSENT_MISSING = "consent_missing"


@dataclass(frozen=True, slots=True)
class Line:
    """One product in a basket; quantity in pieces."""

    product_id: ProductId
    quantity: float = 1.0


def subject_of(customer_id: str | None, anonymous_id: str | None = None) -> str:
    """The person's key everywhere online: `c:<customer_id>`, else `a:<anonymous_id>`."""
    return f"c:{customer_id}" if customer_id is not None else f"a:{anonymous_id}"


PURCHASE, REFUND = "purchase", "refund"
TRADES = frozenset({PURCHASE, REFUND})
KEY_PATTERN = r"(?s)^(?P<sender>\S+) (?P<event_id>.*) (?P<item>[0-9]+) \S+$"
"""What an event's key says, for Python's and for Rust's regular expressions alike."""
LOCAL = "local"
"""The sender of events that came in without a key: by file, or while there are no keys."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, in the API's own form. `time` is aware UTC, money integer minor units.

    `sender` is the client of the API key, then `/` and the source where one was given; it holds no space. `event_id` is
    unique for its sender, and `item` counts the lines of one event from 0.
    """

    event_id: str
    type: str
    time: datetime
    channel: str | None = None
    customer_id: str | None = None
    anonymous_id: str | None = None
    product_id: ProductId | None = None
    basket_id: str | None = None
    quantity: float = 1.0
    amount_minor: int | None = None
    currency: str | None = None
    store_id: str | None = None
    session_id: str | None = None
    decision_id: str | None = None
    offer_id: str | None = None
    sender: str = LOCAL
    item: int = 0

    @property
    def subject(self) -> str:
        """Whose event it is, as `subject_of` names them."""
        return subject_of(self.customer_id, self.anonymous_id)

    @property
    def sending(self) -> str:
        """What is unique for each event, and equal for its lines. An id may hold spaces, a sender none."""
        return f"{self.sender} {self.event_id}"

    @property
    def key(self) -> str:
        """Unique for each line of each event: `<sender> <id> <item> <time>`."""
        # With the time: a sender whose counter begins again after a while means another event.
        return f"{self.sending} {self.item} {self.time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def event_of(key: str) -> tuple[str, str, int]:
    """Sender, event id and item that an event's key names; what is none counts as the id of a local event."""
    found = re.match(KEY_PATTERN, key)
    return (found["sender"], found["event_id"], int(found["item"])) if found else (LOCAL, key, 0)


class LiveEvent(NamedTuple):
    """The part of an event that decisions look at; `time_s` is unix seconds."""

    event_id: str
    type: str
    time_s: float
    product_id: str | None
    quantity: float = 1.0
    offer_id: str | None = None
    sender: str = LOCAL
    item: int = 0
    basket_id: str | None = None
    amount_minor: int | None = None
    store_id: str | None = None


class WalletCoupon(NamedTuple):
    """An open coupon as decisions see it; instants are unix seconds, None = no bound."""

    coupon_id: str
    code: str
    offer_id: str
    valid_from_s: float | None
    valid_until_s: float | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A customer's open coupons, as projected from the ledger: it may be behind, so it proposes and never approves.

    `activated`: offers that the customer activated. `remaining_minor`: what is left of running campaigns' budgets, by
    campaign id. The two counts: coupons redeemed so far, campaigns that were meant for the customer.
    """

    coupons: Sequence[WalletCoupon]
    tier: str | None = None
    activated: frozenset[str] = frozenset()
    redeemed_count: float = 0.0
    campaign_count: float = 0.0
    remaining_minor: Mapping[str, int] = field(default_factory=dict)


class Objective(StrEnum):
    """What a slate is ordered by: the score, or probability times price or margin (docs/ranking.md)."""

    RELEVANCE = "relevance"
    REVENUE = "revenue"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True)
class Selection:
    """Some products: those of `product_ids`, or where `attribute` is given those with one of its `values`."""

    product_ids: tuple[str, ...] = ()
    attribute: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weighting:
    """Multiplies the odds of the selected products by `factor`: above 1 a boost, below 1 a bury."""

    selected: Selection
    factor: float


class Pin(NamedTuple):
    """This product at this rank, counted from 1, if it may be shown."""

    rank: int
    product_id: str


@dataclass(frozen=True, slots=True)
class SlatePolicy:
    """What a placement sets about its slates. A cap is the most products of one category or brand, None = no cap.

    `diversity` 0 (off) to 1: how much likeness to what stands above counts against the order (MMR).
    """

    objective: Objective = Objective.RELEVANCE
    max_per_category: int | None = None
    max_per_brand: int | None = None
    diversity: float = 0.0
    weightings: tuple[Weighting, ...] = ()
    pins: tuple[Pin, ...] = ()
    excluded: tuple[Selection, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """One question: what should this person see, here, now? `now_at` is aware UTC.

    `new_products`: places (0 or 1) kept for products newer than the bundle. `exclude_purchased` None: as the bundle
    says. `policy` None: the slate is what the score makes it. `coupon_places`: where both kinds are requested, so many
    coupons get in whatever their score, at most `max_coupons`. `allows_age_restricted`: for people of age, too.
    `fulfilment`: the ways to get a product that are welcome, none = all; `position`: latitude and longitude in degrees.
    """

    placement: str
    size: int
    now_at: datetime
    customer_id: str | None = None
    anonymous_id: str | None = None
    kinds: frozenset[str] = frozenset({"product"})
    exclude_purchased: bool | None = None
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    explain: bool = False
    channel: str | None = None
    store_id: str | None = None
    basket: Sequence[Line] = ()
    recent: Sequence[ProductId] = ()
    new_products: int = 1
    policy: SlatePolicy | None = None
    coupon_places: int = 1
    max_coupons: int = 3
    allows_age_restricted: bool = False
    fulfilment: tuple[str, ...] = ()
    pickup_store_id: str | None = None
    position: tuple[float, float] | None = None
    deliver_by_at: datetime | None = None

    def of_nobody(self) -> "Query":
        """The same question by somebody of whom nothing may be used: no name, no basket, nothing looked at."""
        return replace(self, customer_id=None, anonymous_id=None, basket=(), recent=(), exclude_purchased=None)


@dataclass(frozen=True, slots=True)
class CustomerFeatures:
    """One customer's Feast row (service `decision_v1`), decoded. Instants are unix seconds, money minor units.

    The `bought_*` arrays run in parallel, one value per distinct product ever bought, strongest first; a key is
    `app.feature_fields.product_key` of the product id;
    the decayed weights are sums of 2^(-age/half-life) as of `as_of_at`.
    """

    as_of_at: float
    scalars: Mapping[str, float | str | tuple[str, ...]]
    bought_keys: npt.NDArray[np.float64]
    bought_count: Floats
    bought_weight_28d: Floats
    bought_weight_112d: Floats
    bought_first_day: Floats
    bought_last_day: Floats

    def number(self, name: str) -> float:
        """A scalar that is a number; 0 where the row lacks it."""
        value = self.scalars.get(name)
        return float(value) if isinstance(value, int | float) else 0.0


class Reason(NamedTuple):
    """Why a proposition is shown: a stable code and words that a customer understands."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A store that products come from, the way they take, from when, and until when at the latest (None: from then on).

    One that many propositions share; equal to itself alone, so that what is made of it can be kept.
    """

    way: str
    store_id: str
    available_from_at: datetime
    available_until_at: datetime | None = None
    slot_id: str | None = None

    @property
    def available_by_at(self) -> datetime:
        """When the customer has it at the latest."""
        return self.available_until_at or self.available_from_at


Option = tuple[Source, int | None, int | None]
"""One way to get a product, what a piece costs there in minor units of the proposition's currency, and how much is left
in thousandths of the unit of sale, where that is little. A plain tuple: a slate has some fifty.
"""


class CouponDetails(NamedTuple):
    """What only a coupon's proposition has: which coupon (None: one to be activated), and what it applies to.

    `saving_minor` is what it takes off one piece of the first product; `ends_s` unix seconds, None = no end.
    """

    coupon_id: str | None
    code: str | None
    offer_id: str
    offer_revision: int
    campaign_id: str
    applies_to: Sequence[str]
    saving_minor: int | None
    ends_s: float | None


class Card(NamedTuple):
    """What a front end draws of a product next to its name and price; None = unknown."""

    image_url: str | None = None
    url: str | None = None
    brand: str | None = None
    category: str | None = None
    rating: float | None = None
    rating_count: int | None = None


class Proposition(NamedTuple):
    """One place of a slate. `expected_minor` = probability × price, or × margin where that is the objective.

    Of a coupon `product_id` is the product that it is shown for; `coupon` holds its own fields. `options` None: nothing
    is known of where the product can be had. `reference_minor`: the price that a reduction to `price_minor` may name.
    """

    kind: str
    product_id: ProductId
    rank: int
    score: float
    probability: float
    reasons: Sequence[Reason]
    propensity: float = 1.0
    expected_minor: int | None = None
    currency: str | None = None
    name: str | None = None
    factors: Mapping[str, float] | None = None
    price_minor: int | None = None
    coupon: CouponDetails | None = None
    options: Sequence[Option] | None = None
    reference_minor: int | None = None
