"""Names, types and units of every feature: training computes, Feast serves and decisions decode them."""

from dataclasses import dataclass
from enum import StrEnum

import mmh3

PROJECT = "endcap"
"""Feast's project name; it ends every online key."""
DECISION_SERVICE = "decision_v1"
"""The feature service a decision reads: the three customer views."""
PRODUCT_SERVICE = "products_v1"
"""The feature service over the product view."""
ACTIVITY_PUSH = "customer_activity_push"
"""The push source that the worker writes to."""


class FieldType(StrEnum):
    """How a value is stored, in Polars, in Feast and on the wire."""

    F64 = "float64"
    F32 = "float32"
    I64 = "int64"
    STR = "string"
    STR_LIST = "string list"
    F32_LIST = "float32 list"
    F64_LIST = "float64 list"


@dataclass(frozen=True, slots=True)
class Feature:
    """One field of one view. `unit` is what the number counts; `owner` answers for its meaning."""

    view: str
    name: str
    kind: FieldType
    unit: str
    description: str
    owner: str


CUSTOMER_PROFILE = "customer_profile"
CUSTOMER_PURCHASES = "customer_purchases"
CUSTOMER_ACTIVITY = "customer_activity"
PRODUCT_STATISTICS = "product_statistics"

_Row = tuple[str, FieldType, str, str]


def _view(view: str, owner: str, *rows: _Row) -> tuple[Feature, ...]:
    return tuple(
        Feature(view=view, name=name, kind=kind, unit=unit, description=description, owner=owner)
        for name, kind, unit, description in rows
    )


PROFILE = _view(
    CUSTOMER_PROFILE,
    "personalization",
    ("first_purchase_at", FieldType.F64, "unix s", "Time of the first purchase."),
    ("last_purchase_at", FieldType.F64, "unix s", "Time of the last purchase in the history."),
    ("basket_count", FieldType.I64, "baskets", "Distinct baskets; without basket ids a day is a basket."),
    ("line_count", FieldType.I64, "lines", "Purchase lines, distinct per basket and product."),
    ("product_count", FieldType.I64, "products", "Distinct products bought."),
    ("spend_minor", FieldType.I64, "minor units", "Money paid, all time; null when no amount is known."),
    ("spend_minor_90d", FieldType.I64, "minor units", "Money paid in the last 90 days."),
    ("basket_mean_minor", FieldType.F64, "minor units", "Money paid per basket, mean."),
    ("visit_interval_days", FieldType.F64, "days", "Mean gap between purchase days (UTC); null below two."),
    ("repeat_share", FieldType.F32, "ratio", "Lines of products bought in an earlier basket, of all lines."),
    ("coupon_share", FieldType.F32, "ratio", "Lines with a coupon or a discount, of all lines."),
    ("share_store", FieldType.F32, "ratio", "Lines bought in a store, of lines whose channel is known."),
    ("share_web", FieldType.F32, "ratio", "Lines bought on the web, of lines whose channel is known."),
    ("share_app", FieldType.F32, "ratio", "Lines bought in the app, of lines whose channel is known."),
    ("home_store_id", FieldType.STR, "store id", "The store with most of the customer's baskets."),
    ("favourite_departments", FieldType.STR_LIST, "departments", "Up to three departments with most lines."),
)

PURCHASES = _view(
    CUSTOMER_PURCHASES,
    "personalization",
    ("bought_product_ids", FieldType.STR_LIST, "product ids", "Products bought, strongest first, at most 5,000."),
    ("bought_keys", FieldType.F64_LIST, "product keys", "52-bit hash of each product id: what serving reads."),
    ("bought_count", FieldType.F32_LIST, "baskets", "Distinct baskets with the product."),
    ("bought_weight_28d", FieldType.F32_LIST, "decayed lines", "Sum of 2^(-age/28 d) over the product's lines."),
    ("bought_weight_112d", FieldType.F32_LIST, "decayed lines", "Sum of 2^(-age/112 d) over the product's lines."),
    ("bought_first_day", FieldType.F32_LIST, "epoch days", "Day (UTC) of the product's first purchase."),
    ("bought_last_day", FieldType.F32_LIST, "epoch days", "Day (UTC) of the product's last purchase."),
)

ACTIVITY = _view(
    CUSTOMER_ACTIVITY,
    "ingestion",
    ("last_seen_at", FieldType.F64, "unix s", "Time of the last event of any kind."),
    ("last_channel", FieldType.STR, "channel", "Channel of the last event that named one."),
    ("last_store_id", FieldType.STR, "store id", "Store of the last event that named one."),
    ("event_count_24h", FieldType.I64, "events", "Events in the 24 hours before the row's timestamp."),
    ("last_purchase_at_live", FieldType.F64, "unix s", "Time of the last purchase event, live."),
)

STATISTICS = _view(
    PRODUCT_STATISTICS,
    "merchandising",
    ("purchase_count_7d", FieldType.I64, "baskets", "Baskets with the product in the last 7 days."),
    ("purchase_count_28d", FieldType.I64, "baskets", "Baskets with the product in the last 28 days."),
    ("purchase_count", FieldType.I64, "baskets", "Baskets with the product, all time."),
    ("buyer_count", FieldType.I64, "customers", "Distinct customers who bought the product."),
    ("repeat_rate", FieldType.F32, "ratio", "Buyers with the product in two baskets or more, of all buyers."),
    ("price_mean_minor", FieldType.F64, "minor units", "Mean unit price paid: amounts over quantities."),
    ("trend_ratio", FieldType.F32, "ratio", "Daily baskets over 28 days against 112 days (or the span known)."),
    ("last_sold_at", FieldType.F64, "unix s", "Time of the last sale."),
    ("competitor_price_gap", FieldType.F32, "ratio", "Price over a competitor's, less 1; null unless both are known."),
)

CUSTOMER_FEATURES = (*PROFILE, *PURCHASES, *ACTIVITY)
"""All fields of the service `decision_v1`."""
FEATURES = (*CUSTOMER_FEATURES, *STATISTICS)
"""All fields of all views."""

NOT_SERVED = frozenset({"bought_product_ids"})
"""Fields for people: a decision reads the keys instead, and looks hundreds of them up at once."""


def product_key(product_id: str) -> float:
    """The product's key, a whole number below 2^52: murmur3 of the id. Two of 100,000 ids share one by 1 in 10^6."""
    # Keys travel as float64, which is exact for whole numbers up to 2^53.
    key: int = mmh3.hash64(product_id.encode(), signed=False)[0] >> 12
    return float(key)
