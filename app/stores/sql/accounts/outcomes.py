"""What became of every coupon leaves the ledger as three Parquet tables next to the history, for training."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, func, select, union_all

from app.files import replace_atomically, turn
from app.offers.terms.terms import OfferTerms
from app.settings import ProductSelector, Settings
from app.stores.sql.campaigns.campaigns import list_offers
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import has_ledger, is_current
from app.stores.sql.database.tables import audience, campaigns, coupons, redemptions, uses

OFFERS, AUDIENCE, REDEMPTIONS = "coupon_offers", "coupon_audience", "coupon_redemptions"
_STAGING = ".coupons"
_INSTANT = pl.Datetime("us", "UTC")
_TABLES: dict[str, dict[str, pl.DataType]] = {
    OFFERS: {"offer_id": pl.String(), "campaign_id": pl.String(), "product_id": pl.String()},
    AUDIENCE: {
        "customer_id": pl.String(),
        "campaign_id": pl.String(),
        "assigned_at": _INSTANT,
        "expires_at": _INSTANT,
    },
    REDEMPTIONS: {"customer_id": pl.String(), "offer_id": pl.String(), "redeemed_at": _INSTANT},
}


def export_if_there(settings: Settings) -> None:
    """`export_outcomes` where there is a ledger; one that this Endcap does not know the schema of is left alone."""
    if not has_ledger(settings):
        return
    with closing(open_ledger(settings.ledger_url)) as ledger:
        if is_current(ledger):
            export_outcomes(ledger, settings)


def export_outcomes(ledger: Ledger, settings: Settings) -> dict[str, int]:
    """Writes offers, audience and redemptions as they stand below `tables_dir`; returns the rows of each table.

    An offer has a row per product: those it names, and those of the product table that its attributes select. One
    that is good for the whole basket has none. Who holds a coupon belongs to the audience, whoever issued it. What
    was rolled back whole is no redemption. Without any campaign nothing is written.
    """
    with outcomes_held(settings) as staging:
        return _exported(ledger, settings, staging)


def outcome_files(settings: Settings) -> list[Path]:
    """The tables that there are."""
    paths = (settings.tables_dir / f"{table}.parquet" for table in _TABLES)
    return [path for path in paths if path.exists()]


@contextmanager
def outcomes_held(settings: Settings) -> Iterator[Path]:
    """One writer after the other, from reading the ledger to the last table: whoever is erased does not come back.

    Gives the folder for unfinished tables, where what a killed writer left is gone.
    """
    staging = settings.data_dir / _STAGING
    staging.mkdir(parents=True, exist_ok=True)
    with turn(staging / "lock"):
        for path in staging.glob(".tmp-*"):
            path.unlink()
        yield staging


def _exported(ledger: Ledger, settings: Settings, staging: Path) -> dict[str, int]:
    products = _products(settings.tables_dir / "products.parquet")
    rows = ledger.read(lambda connection: _rows(connection, products))
    frames = {
        # Sorted, so that equal rows are an equal table, which leaves the file alone.
        table: pl.DataFrame(rows[table], schema=columns, orient="row").unique().sort(list(columns))
        for table, columns in _TABLES.items()
    }
    if not any(frame.height for frame in frames.values()):
        return dict.fromkeys(frames, 0)
    settings.tables_dir.mkdir(parents=True, exist_ok=True)
    for table, frame in frames.items():
        _replace(settings.tables_dir / f"{table}.parquet", frame, staging)
    return {table: frame.height for table, frame in frames.items()}


_Rows = Sequence[Sequence[object]]


def _rows(connection: Connection, products: pl.DataFrame) -> dict[str, _Rows]:
    offers = [
        (offer.offer_id, offer.campaign_id, product_id)
        for offer in list_offers(connection)
        for product_id in products_of(offer.terms, products)
    ]
    return {OFFERS: offers, AUDIENCE: _audience(connection), REDEMPTIONS: _redemptions(connection)}


def products_of(terms: OfferTerms, products: pl.DataFrame) -> set[str]:
    """The products that an offer is good for, as far as it says; none when it says nothing."""
    return _selected(terms.applies_to, products) - _selected(terms.excludes, products)


def _selected(selections: Collection[ProductSelector], products: pl.DataFrame) -> set[str]:
    found: set[str] = set()
    for one in selections:
        if one.attribute is None:
            found.update(one.product_ids)
        elif one.attribute in products.columns:
            found.update(products.filter(pl.col(one.attribute).cast(pl.String).is_in(one.values))["product_id"])
    return found


def _products(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema={"product_id": pl.String})


def _audience(connection: Connection) -> _Rows:
    """Each customer of a campaign once, since the first that made them one."""
    named = select(audience.c.customer_id, audience.c.campaign_id, audience.c.assigned_at.label("since_at"))
    holding = select(coupons.c.customer_id, coupons.c.campaign_id, coupons.c.issued_at.label("since_at"))
    each = union_all(named, holding.where(coupons.c.customer_id.is_not(None))).subquery()
    query = (
        select(each.c.customer_id, each.c.campaign_id, func.min(each.c.since_at), campaigns.c.ends_at)
        .join(campaigns, each.c.campaign_id == campaigns.c.campaign_id)
        .group_by(each.c.customer_id, each.c.campaign_id, campaigns.c.ends_at)
    )
    return [tuple(row) for row in connection.execute(query)]


def _redemptions(connection: Connection) -> _Rows:
    query = (
        select(func.coalesce(redemptions.c.customer_id, coupons.c.customer_id), uses.c.offer_id)
        .add_columns(redemptions.c.redeemed_at)
        .join(redemptions, uses.c.redemption_id == redemptions.c.redemption_id)
        .join(coupons, uses.c.coupon_id == coupons.c.coupon_id)
        .where(uses.c.is_open)
    )
    return [tuple(row) for row in connection.execute(query) if row[0] is not None]


def _replace(path: Path, frame: pl.DataFrame, staging: Path) -> None:
    """The file with just these rows; untouched where it has them already."""
    if path.exists() and pl.read_parquet(path).equals(frame):
        return
    replace_atomically(path, frame.write_parquet, staging_dir=staging)
