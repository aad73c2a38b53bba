"""Which coupons were given to whom and which were redeemed: three tables next to the history, read for training."""

from dataclasses import dataclass

import polars as pl

from app.errors import BadInput
from app.settings import Settings

OFFERS, AUDIENCE, REDEMPTIONS = "coupon_offers", "coupon_audience", "coupon_redemptions"

_INSTANT = pl.Datetime("us", "UTC")
_COLUMNS: dict[str, dict[str, pl.DataType]] = {
    OFFERS: {"offer_id": pl.String(), "campaign_id": pl.String(), "product_id": pl.String()},
    AUDIENCE: {"customer_id": pl.String(), "campaign_id": pl.String(), "assigned_at": _INSTANT},
    REDEMPTIONS: {"customer_id": pl.String(), "offer_id": pl.String(), "redeemed_at": _INSTANT},
}
EXPIRES_AT = "expires_at"


@dataclass(frozen=True, slots=True)
class CouponHistory:
    """Campaigns as they were. Instants aware UTC, ids strings; an offer belongs to one campaign.

    `offers` (offer_id, campaign_id, product_id): a row per product that an offer is good for. `assigned` (customer_id,
    campaign_id, assigned_at, expires_at): who got a campaign's coupons; expires_at null = unknown. `redeemed`
    (customer_id, offer_id, redeemed_at).
    """

    offers: pl.DataFrame
    assigned: pl.DataFrame
    redeemed: pl.DataFrame


def coupon_history(settings: Settings) -> CouponHistory | None:
    """What the tables directory holds of coupons; None unless all three tables are there.

    Raises BadInput naming the table and the column that is missing or of another type.
    """
    paths = {name: settings.tables_dir / f"{name}.parquet" for name in _COLUMNS}
    if not all(path.exists() for path in paths.values()):
        return None
    return checked_history(*(pl.read_parquet(path) for path in paths.values()))


def checked_history(offers: pl.DataFrame, assigned: pl.DataFrame, redeemed: pl.DataFrame) -> CouponHistory:
    """The history of three frames, their columns in order; raises BadInput as `coupon_history` does."""
    if EXPIRES_AT not in assigned.columns:
        assigned = assigned.with_columns(pl.lit(None, dtype=_INSTANT).alias(EXPIRES_AT))
    return CouponHistory(
        _checked(offers, OFFERS, _COLUMNS[OFFERS]),
        _checked(assigned, AUDIENCE, {**_COLUMNS[AUDIENCE], EXPIRES_AT: _INSTANT}),
        _checked(redeemed, REDEMPTIONS, _COLUMNS[REDEMPTIONS]),
    )


def _checked(frame: pl.DataFrame, table: str, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    for name, wanted in columns.items():
        found = frame.schema.get(name)
        # Instants of another unit or zone are cast; a number would be, too, in a unit that nobody stated.
        if found is None or (isinstance(wanted, pl.Datetime) and not isinstance(found, pl.Datetime)):
            raise BadInput(f"{table}.parquet: column {name!r} is {found}, not {wanted}; write the table again")
    return frame.select(pl.col(name).cast(wanted) for name, wanted in columns.items())
