"""A retailer with campaigns whose right answers are known: a customer redeems exactly coupons of what they buy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from app.model.bundle import Bundle
from tests.support.rows import history_of
from training.coupons.examples import CouponWorld
from training.coupons.history import CouponHistory, checked_history
from training.data.dataset import Dataset, load_interactions
from training.learners.bundle_contents import Hyperparameters, learn_contents
from training.learners.factors import AlsSettings
from training.ranking.blend import default_blend
from training.release.assemble import bundle_of
from training.release.publish import Facts

START = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS, PRODUCTS, CAMPAIGNS = 24, 12, 6
CAMPAIGN_DAYS = 20


def products() -> pl.DataFrame:
    """Twelve products of four categories and two departments, at 1.00 to 12.00."""
    rows = [(f"p{n}", f"d{n % 2}", f"c{n % 4}", 100 * (n + 1)) for n in range(PRODUCTS)]
    return pl.DataFrame(rows, schema=["product_id", "department", "category", "price_minor"], orient="row")


def history() -> pl.LazyFrame:
    """Each customer buys one product of their own every five days, and every product sells."""
    return history_of(
        (
            {
                "customer_id": f"u{who}",
                "product_id": f"p{who % PRODUCTS}",
                "basket_id": f"b{who}-{day}",
                "time": START + timedelta(days=day, hours=12),
                "quantity": 1.0,
                "amount_minor": 100 * (who % PRODUCTS + 1),
            }
            for who in range(CUSTOMERS)
            for day in range(0, 20 + (CAMPAIGNS + 1) * CAMPAIGN_DAYS, 5)
        ),
        type="purchase",
    )


def coupons(*, campaigns: int = CAMPAIGNS) -> CouponHistory:
    """Campaigns of one coupon per product, three weeks apart; everybody gets all and redeems their own product's."""
    starts = {f"k{n}": START + timedelta(days=20 + n * CAMPAIGN_DAYS) for n in range(campaigns)}
    people = [f"u{who}" for who in range(CUSTOMERS)]
    offers = [(f"{name}-p{item}", name, f"p{item}") for name in starts for item in range(PRODUCTS)]
    assigned = [(who, name, at, at + timedelta(days=14)) for name, at in starts.items() for who in people]
    redeemed = [
        (f"u{who}", f"{name}-p{who % PRODUCTS}", at + timedelta(days=3))
        for name, at in starts.items()
        for who in range(CUSTOMERS)
    ]
    return checked_history(
        pl.DataFrame(offers, schema=["offer_id", "campaign_id", "product_id"], orient="row"),
        pl.DataFrame(assigned, schema=["customer_id", "campaign_id", "assigned_at", "expires_at"], orient="row"),
        pl.DataFrame(redeemed, schema=["customer_id", "offer_id", "redeemed_at"], orient="row"),
    )


def bundle_from(folder: Path, dataset: Dataset) -> Bundle:
    """A bundle of the dataset with the smallest factors."""
    hyperparameters = Hyperparameters(
        AlsSettings(factors=2, iterations=1), None, default_blend(()), excludes_purchased=False
    )
    return bundle_of(folder, Facts(START), learn_contents(dataset, hyperparameters, seed=0))


def coupon_world(folder: Path, *, campaigns: int = CAMPAIGNS) -> CouponWorld:
    """All of it, ready to be learned from."""
    dataset = load_interactions(history(), products())
    return CouponWorld(
        coupons(campaigns=campaigns), dataset, history(), products().lazy(), bundle_from(folder, dataset)
    )
