"""The customer whom the demo shows, and what their coupons give on a basket: all of it is only read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl

from app.composition.history import history_of
from app.composition.stores import opened_ledger
from app.domain import PURCHASE, JsonObject
from app.errors import BadSetting
from app.history.rows import AMOUNT_MINOR, CURRENCY, CUSTOMER_ID, PRODUCT_ID, QUANTITY, STORE_ID, TIME, TYPE
from app.offers.terms.money import format_amount
from app.settings import Settings
from app.stores.sql.accounts.outcomes import products_of
from app.stores.sql.accounts.reports import coupon_holders
from app.stores.sql.campaigns.campaigns import find_offers
from app.stores.sql.coupons.issuing import coupons_of

HOLDER_COUNT = 100
"""Out of so many who hold most coupons the one with most purchases is shown."""


@dataclass(frozen=True, slots=True)
class Shopper:
    """A customer with a full year of baskets, and the store that they know best; `has_coupons` that can be used."""

    customer_id: str
    store_id: str | None
    has_coupons: bool


@dataclass(frozen=True, slots=True)
class Bought:
    """A product, and what a piece of it was last paid with."""

    product_id: str
    name: str
    price_minor: int
    currency: str


def find_shopper(settings: Settings, *, now: datetime) -> Shopper:
    """The best customer among those who hold most coupons, or of all where nobody holds any."""
    with opened_ledger(settings) as ledger:
        holders = ledger.read(partial(coupon_holders, now=now, limit=HOLDER_COUNT))
    purchases = _purchases(settings)
    if holders:
        purchases = purchases.filter(pl.col(CUSTOMER_ID).is_in(holders))
    counted = purchases.group_by(CUSTOMER_ID, STORE_ID).len().sort("len", CUSTOMER_ID, descending=True)
    rows = counted.head(1).collect(engine="streaming").to_dicts()
    if not rows:
        raise BadSetting(f"{settings.history_dir} holds no purchase; run `endcap import` first")
    return Shopper(rows[0][CUSTOMER_ID], rows[0][STORE_ID], bool(holders))


def couponed_product(settings: Settings, customer_id: str) -> Bought | None:
    """Of all products that the customer has a coupon for the one they bought most often; None when none ever."""
    with opened_ledger(settings) as ledger:
        held = ledger.read(partial(coupons_of, customer_ids=[customer_id], open_only=True))
        offers = ledger.read(partial(find_offers, offer_ids=[coupon.offer_id for coupon in held]))
    none = pl.DataFrame(schema={PRODUCT_ID: pl.String})
    wanted = {product_id for offer in offers.values() for product_id in products_of(offer.terms, none)}
    theirs = _purchases(settings).filter(pl.col(CUSTOMER_ID) == customer_id, pl.col(PRODUCT_ID).is_in(list(wanted)))
    piece = (pl.col(AMOUNT_MINOR) / pl.col(QUANTITY)).sort_by(TIME).last().round().cast(pl.Int64)
    paid = theirs.filter(pl.col(AMOUNT_MINOR) > 0, pl.col(QUANTITY) > 0)
    each = paid.group_by(PRODUCT_ID).agg(pl.len(), piece.alias("price"), pl.col(CURRENCY).last())
    rows = each.sort("len", PRODUCT_ID, descending=True).head(1).collect(engine="streaming").to_dicts()
    if not rows:
        return None
    product_id = rows[0][PRODUCT_ID]
    table = pl.scan_parquet(settings.tables_dir / "products.parquet").filter(pl.col(PRODUCT_ID) == product_id)
    names = table.select("name").collect()["name"].to_list()
    return Bought(product_id, (names or [product_id])[0], rows[0]["price"], rows[0][CURRENCY])


def basket_of(shopper: Shopper, bought: Bought) -> dict[str, object]:
    """The question to POST /v1/qualifications: one piece of that product at the till."""
    return {
        "customer_id": shopper.customer_id,
        "channel": "store",
        "store_id": shopper.store_id,
        "currency": bought.currency,
        "lines": [{"product_id": bought.product_id, "quantity": 1, "unit_price_minor": bought.price_minor}],
    }


def qualification_lines(answer: JsonObject, name: str) -> list[str]:
    """What the coupons give on the basket, and how many give nothing on it, by reason."""
    currency = answer["currency"]
    basket = format_amount(answer["basket_minor"], currency)
    lines = [f"At the till with {name} for {basket} {currency}:"]
    for coupon in answer["applied"]:
        discount = f"{format_amount(coupon['discount_minor'], currency)} {currency}"
        lines.append(f"  {coupon['name']} (code {coupon['code']}) takes off {discount}")
    payable = format_amount(answer["payable_minor"], currency)
    return [*lines, f"  to pay {payable} {currency}; {_refusals(answer['refused'])}"]


def _refusals(refused: Sequence[JsonObject]) -> str:
    codes = [one["reason"]["code"] for one in refused]
    counted = (f"{codes.count(code)} {code}" for code in sorted(set(codes)))
    return "coupons that give nothing here: " + (", ".join(counted) or "(none)")


def _purchases(settings: Settings) -> pl.LazyFrame:
    return history_of(settings).scan().filter(pl.col(TYPE) == PURCHASE)
