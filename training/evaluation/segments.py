"""Evaluated customers in groups, so that a good mean cannot hide whom it is bad for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from app.domain import PURCHASE, Ints
from app.history.rows import ANONYMOUS_ID, BASKET_ID, CHANNEL, CUSTOMER_ID, PRODUCT_ID, STORE_ID, TIME, TYPE
from training.data.split import Split
from training.queries.evaluation_queries import EvaluationQueries
from training.queries.states import as_of_instant

GROUP_COUNT = 3
TOP_COUNT = 6
"""As many channels or stores stand alone; the others are one group."""
OTHERS = "all others"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Segment:
    """One way to group the evaluated customers: `code` (n,) points into `names`."""

    kind: str
    names: Sequence[str]
    code: npt.NDArray[np.intp]


def segments_of(queries: EvaluationQueries, split: Split, history: pl.LazyFrame) -> list[Segment]:
    """By activity before the cut, and by channel and store of the held-out basket.

    Channel and store need the basket's instant, so a random split knows activity alone.
    """
    found = [activity(queries.codes, split)]
    if split.kind == "time":
        places = truth_places(queries, split, history)
        found += [by_name("channel", places[CHANNEL].to_list()), by_name("store", places[STORE_ID].to_list())]
    return found


def activity(codes: Sequence[int], split: Split) -> Segment:
    """Three groups of about equal size by baskets before the cut; equal numbers of baskets stay together."""
    _, first_line = np.unique(split.train.basket, return_index=True)
    every = np.bincount(split.train.customer[first_line], minlength=len(split.train.customer_ids))
    baskets = every[np.asarray(codes, np.intp)]
    edges = np.quantile(baskets, np.arange(1, GROUP_COUNT) / GROUP_COUNT) if len(baskets) else np.zeros(0)
    # Equal quantiles leave groups without anybody: only the others count.
    filled, code = np.unique(np.searchsorted(edges, baskets, side="left"), return_inverse=True)
    names = [_range_name(baskets[code == group]) for group in range(len(filled))]
    return Segment("activity", names, code)


def by_name(kind: str, names: Sequence[str | None]) -> Segment:
    """The largest groups by name (ties: name), all others as one, and those without a name."""
    given = pl.Series("name", names, dtype=pl.String)
    counted = given.drop_nulls().value_counts().sort("count", "name", descending=[True, False])
    order = counted["name"].head(TOP_COUNT).to_list()
    groups = [UNKNOWN if name is None else name if name in order else OTHERS for name in names]
    present = [name for name in (*order, OTHERS, UNKNOWN) if name in set(groups)]
    return Segment(kind, present, np.array([present.index(group) for group in groups], np.intp))


def truth_places(queries: EvaluationQueries, split: Split, history: pl.LazyFrame) -> pl.DataFrame:
    """Channel and store of each evaluated customer's first purchase of the truth since the cut; null = unknown."""
    customers = [split.train.customer_ids[code] for code in queries.codes]
    wanted = pl.DataFrame(
        {
            # As objects: an array of strings would take the longest id's width for every one.
            "customer": np.repeat(np.array(customers, object), [len(items) for items in queries.truth]).tolist(),
            PRODUCT_ID: [split.train.product_ids[item] for items in queries.truth for item in items.tolist()],
        },
        schema={"customer": pl.String, PRODUCT_ID: pl.String},
    )
    rows = (
        history.filter(pl.col(TIME) >= as_of_instant(split.train))
        # As the dataset names its customers: by customer id, else by anonymous id.
        .with_columns(pl.coalesce(CUSTOMER_ID, ANONYMOUS_ID).alias("customer"))
        .join(wanted.lazy(), on=["customer", PRODUCT_ID], how="semi")
        .select("customer", TYPE, TIME, BASKET_ID, CHANNEL, STORE_ID)
        .collect()
    )
    bought = rows.filter(pl.col(TYPE) == PURCHASE)
    # Where nothing is ever bought, the truth is a view. Sorted by all columns, so that ties fall alike in every run.
    first = (rows if bought.is_empty() else bought).sort(TIME, BASKET_ID, CHANNEL, STORE_ID)
    places = first.unique("customer", keep="first", maintain_order=True)
    return pl.DataFrame({"customer": customers}).join(places, on="customer", how="left", maintain_order="left")


def _range_name(baskets: Ints | npt.NDArray[np.intp]) -> str:
    low, high = int(baskets.min()), int(baskets.max())
    if low == high:
        return f"{low} basket{'s' if low != 1 else ''}"
    return f"{low}–{high} baskets"
