"""Every coupon that somebody was given becomes a row of columns and an outcome: what the coupon model learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from app.decision.coupons.features import COLUMNS, CouponHabit, coupon_table
from app.decision.customer.context import make_context
from app.domain import Floats, Ints, Mask, Query
from app.model.bundle import Bundle
from app.model.offer_items import ItemGroups, OfferItems, item_groups, offer_items
from app.ports import CustomerState
from training.coupons.history import EXPIRES_AT, CouponHistory
from training.data.dataset import Dataset, Days, Pairs
from training.features.tables import customer_tables
from training.learners.replenishment import RebuyLines, pairs_as_of, rebuy_lines
from training.learners.statistics import popularity
from training.queries.states import states_from_tables

VALIDITY = timedelta(days=45)
"""How long a coupon is taken to be valid where nobody says."""
CUT_STEP = timedelta(days=7)
"""Customers who get a campaign's coupons within so many days are seen as of the first of them."""
MAX_PLAIN_ROWS = 200_000
"""Rows of customers who redeemed nothing of a campaign; more are thinned at random, and those kept weigh more."""
STALE_AFTER_S = 7 * 86_400.0

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CouponExamples:
    """One row per coupon of an assignment (a customer who got a campaign's coupons), assignments one after another.

    `table` (n, f) as of `started_day`, columns as COLUMNS; `ended_day` is when the coupon expired; days since 1970.
    `weight`: how many such rows there were for each one kept.
    """

    table: Floats
    is_redeemed: Mask
    weight: Wide
    assignment: npt.NDArray[np.intp]
    campaign: npt.NDArray[np.str_]
    started_day: Days
    ended_day: Days

    def only(self, rows: Mask) -> "CouponExamples":
        """Those rows."""
        return CouponExamples(*(getattr(self, name)[rows] for name in CouponExamples.__slots__))


@dataclass(frozen=True, slots=True)
class CouponWorld:
    """What examples are made from: the history of coupons, of purchases, and a bundle whose items name the products.

    `dataset` holds the lines of `lines` with the bundle's items. Factors, popularity and paid prices of the bundle are
    not looked at: what a campaign may not yet know is learned again as of its start.
    """

    history: CouponHistory
    dataset: Dataset
    lines: pl.LazyFrame
    products: pl.LazyFrame | None
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class _Assignments:
    """Rows by cut: customer_id, campaign_id, cut_at, expires_at, is_kept, weight, offers redeemed, habits."""

    frame: pl.DataFrame
    offers_of: Mapping[str, Sequence[str]]
    items_of: Mapping[str, Ints]


def coupon_examples(world: CouponWorld, *, seed: int) -> CouponExamples:
    """The examples of all campaigns that began after the first purchase, by cut; none at all give no rows."""
    assignments = _assignments(world, seed=seed)
    sales = rebuy_lines(world.dataset, np.arange(world.bundle.item_count, dtype=np.int32), world.bundle.item_count)
    parts: list[CouponExamples] = []
    number = 0
    # In the frame's order, or the examples of two runs would be numbered differently.
    for (cut_at,), theirs in assignments.frame.group_by("cut_at", maintain_order=True):
        assert isinstance(cut_at, datetime)
        layouts = _layouts(world, assignments, sales, cut_at, theirs["campaign_id"].unique().to_list())
        states = _states(world, theirs["customer_id"].unique().to_list(), cut_at)
        for row in theirs.iter_rows(named=True):
            state = states.get(row["customer_id"], CustomerState())
            query = Query("coupons", 1, cut_at, customer_id=row["customer_id"])
            context = make_context(query, world.bundle, state, stale_after_s=STALE_AFTER_S)
            habit = CouponHabit(row["redeemed_before"], row["campaigns_before"])
            table = coupon_table(context, layouts[row["campaign_id"]], habit=habit)
            redeemed = set(row["redeemed"] or ())
            labels = np.array([name in redeemed for name in assignments.offers_of[row["campaign_id"]]], np.bool_)
            parts.append(_example(row, table, labels, number))
            number += 1
    return _joined(parts)


def _example(row: Mapping[str, object], table: Floats, labels: Mask, number: int) -> CouponExamples:
    count = len(labels)
    cut_at, ended_at = row["cut_at"], row[EXPIRES_AT]
    assert isinstance(cut_at, datetime)
    assert isinstance(ended_at, datetime)
    return CouponExamples(
        table=np.ascontiguousarray(table),
        is_redeemed=labels,
        weight=np.full(count, row["weight"]),
        assignment=np.full(count, number, np.intp),
        campaign=np.full(count, row["campaign_id"]),
        started_day=np.full(count, cut_at.timestamp() / 86_400),
        ended_day=np.full(count, ended_at.timestamp() / 86_400),
    )


def _joined(parts: Sequence[CouponExamples]) -> CouponExamples:
    if not parts:
        none = np.zeros(0)
        table = np.zeros((0, len(COLUMNS)), np.float32)
        return CouponExamples(table, none.astype(bool), none, none.astype(np.intp), none.astype(str), none, none)
    return CouponExamples(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in CouponExamples.__slots__)
    )


def _assignments(world: CouponWorld, *, seed: int) -> _Assignments:
    history = world.history
    assigned = _with_cuts(history.assigned, first_day=world.dataset.day.min(initial=np.inf))
    of_campaign = history.offers.select("offer_id", "campaign_id").unique()
    redeemed = history.redeemed.join(of_campaign, on="offer_id").join(assigned, on=["customer_id", "campaign_id"])
    valid = (pl.col("redeemed_at") >= pl.col("cut_at")) & (pl.col("redeemed_at") < pl.col(EXPIRES_AT))
    outcomes = redeemed.filter(valid).group_by("customer_id", "campaign_id").agg(redeemed=pl.col("offer_id").unique())
    frame = assigned.join(outcomes, on=["customer_id", "campaign_id"], how="left")
    frame = _with_habits(frame, history)
    # Labels, layouts and products of a campaign all follow this order of its offers.
    names = history.offers.select("offer_id", "campaign_id").unique().sort("offer_id")
    offers_of = {name: rows["offer_id"].to_list() for (name,), rows in names.group_by("campaign_id")}
    find = world.bundle.catalogue.known
    listed = history.offers.group_by("offer_id").agg("product_id")
    items_of = {name: find(products) for name, products in listed.iter_rows()}
    frame = frame.filter(pl.col("campaign_id").is_in(list(offers_of)))
    frame = _thinned(frame, {name: len(names) for name, names in offers_of.items()}, seed=seed)
    return _Assignments(frame.sort("cut_at", "campaign_id", "customer_id"), offers_of, items_of)


def _with_cuts(assigned: pl.DataFrame, *, first_day: float) -> pl.DataFrame:
    """One row per customer and campaign, with the instant that they are seen as of, if something was bought before."""
    once = assigned.group_by("customer_id", "campaign_id").agg(pl.col("assigned_at").min(), pl.col(EXPIRES_AT).max())
    once = once.with_columns(pl.coalesce(EXPIRES_AT, pl.col("assigned_at") + VALIDITY))
    began = pl.col("assigned_at").min().over("campaign_id")
    steps = (pl.col("assigned_at") - began).dt.total_microseconds() // (CUT_STEP // timedelta(microseconds=1))
    cut_at = began + steps * pl.duration(microseconds=CUT_STEP // timedelta(microseconds=1))
    return once.with_columns(cut_at=cut_at).filter(pl.col("cut_at").dt.epoch("us") / 86_400e6 > first_day)


def _with_habits(frame: pl.DataFrame, history: CouponHistory) -> pl.DataFrame:
    """How many coupons each customer had redeemed, and of how many campaigns they had been part, before the cut."""
    keys = ["customer_id", "campaign_id"]
    cuts = frame.select(*keys, "cut_at")
    redeemed = cuts.join(history.redeemed, on="customer_id").filter(pl.col("redeemed_at") < pl.col("cut_at"))
    others = history.assigned.select("customer_id", "assigned_at", other="campaign_id")
    earlier = cuts.join(others, on="customer_id").filter(pl.col("assigned_at") < pl.col("cut_at"))
    return (
        frame.join(redeemed.group_by(keys).agg(redeemed_before=pl.len()), on=keys, how="left")
        .join(earlier.group_by(keys).agg(campaigns_before=pl.col("other").n_unique()), on=keys, how="left")
        .with_columns(pl.col("redeemed_before", "campaigns_before").fill_null(0))
    )


def _thinned(frame: pl.DataFrame, offer_counts: Mapping[str, int], *, seed: int) -> pl.DataFrame:
    """All assignments with a redemption, and of the others so many that they stay within MAX_PLAIN_ROWS or so."""
    # Sorted before the draw: Polars groups and joins in any order, and the seed draws positions.
    frame = frame.sort("cut_at", "campaign_id", "customer_id")
    is_plain = frame["redeemed"].is_null().to_numpy()
    sizes = np.array([offer_counts[name] for name in frame["campaign_id"].to_list()], np.int64)
    share = min(1.0, MAX_PLAIN_ROWS / max(int(sizes[is_plain].sum()), 1))
    is_kept = ~is_plain | (np.random.default_rng(seed).random(len(frame)) < share)
    weight = np.where(is_plain, 1 / share, 1.0)
    return frame.with_columns(weight=pl.Series(weight, dtype=pl.Float64)).filter(pl.Series(is_kept, dtype=pl.Boolean))


def _states(world: CouponWorld, customers: Sequence[str], cut_at: datetime) -> dict[str, CustomerState]:
    theirs = world.lines.filter(pl.col("customer_id").is_in(customers))
    return states_from_tables(customer_tables(theirs, as_of=cut_at, products=world.products))


def _layouts(
    world: CouponWorld, assignments: _Assignments, sales: RebuyLines, cut_at: datetime, campaigns: Sequence[str]
) -> dict[str, OfferItems]:
    """Per campaign its offers, with popularity and prices as of the cut."""
    pairs = pairs_as_of(sales, cut_at.timestamp() / 86_400)
    last = pairs.last_day.astype(np.float64)
    sums = Pairs(pairs.person, pairs.group, pairs.count, pairs.weight_28d, pairs.weight_112d, last)
    sold = popularity(sums, world.bundle.item_count, as_of_day=cut_at.timestamp() / 86_400)
    groups = _groups_as_of(world, cut_at)
    layouts = {}
    for campaign in campaigns:
        items = [assignments.items_of[name] for name in assignments.offers_of[campaign]]
        siblings = np.full(len(items), len(items), np.float32)
        layouts[campaign] = offer_items(world.bundle, items, groups=groups, sibling_count=siblings, popularity=sold)
    return layouts


def _groups_as_of(world: CouponWorld, cut_at: datetime) -> ItemGroups:
    """The bundle's groups; where no table has prices, those that were paid before the cut."""
    if world.products is not None and "price_minor" in world.products.collect_schema():
        return item_groups(world.bundle)
    paid = world.lines.filter((pl.col("time") < cut_at) & (pl.col("quantity") > 0) & (pl.col("amount_minor") > 0))
    each = paid.group_by("product_id").agg(pl.col("amount_minor").sum() / pl.col("quantity").sum()).collect()
    price = np.zeros(world.bundle.item_count, np.float32)
    for product_id, minor in each.iter_rows():
        item = world.bundle.catalogue.item_of.get(product_id)
        if item is not None:
            price[item] = minor
    return item_groups(world.bundle, price_minor=price)
