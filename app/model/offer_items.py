"""Which products each coupon is good for, laid out so that a decision asks it by what a customer bought."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints
from app.model.bundle import Bundle

KIN_ATTRIBUTES = ("department", "category", "product_type", "brand")
"""Products that agree in all of these which the catalogue has are kin: the same thing in another size or flavour."""

Numbers = npt.NDArray[np.signedinteger | np.floating]


@dataclass(frozen=True, slots=True)
class ItemGroups:
    """What the items of a bundle have in common and cost: a code per item (i,), the highest one for "unknown".

    `price` in minor units, 0 = unknown.
    """

    kin: Ints
    kin_count: int
    category: Ints
    category_count: int
    department: Ints
    department_count: int
    price: Floats


@dataclass(frozen=True, slots=True)
class OfferItems:
    """n offers and the items that each is good for: offer o has `items[starts[o]:starts[o + 1]]`, distinct, ascending.

    What does not depend on the customer stands ready: `holders[holder_starts[p]:holder_starts[p + 1]]` are the offers
    of the item whose `place_of` is p (-1 = in no offer). An offer's `kin` and `kin_share` begin at its place of
    `kin_starts` (n,), each run closed by "unknown" with share 0. `category_share`, `department_share`: (codes, n).
    `standing` (5, n): log1p of breadth, of popularity, of mean price and of the offers in its campaign; discount ratio.
    NaN = unknown.
    """

    starts: Ints
    items: Ints
    groups: ItemGroups
    place_of: Ints
    holder_starts: Ints
    holders: Ints
    kin_starts: Ints
    kin: Ints
    kin_share: Floats
    category_share: Floats
    department_share: Floats
    standing: Floats

    @property
    def count(self) -> int:
        """How many offers."""
        return len(self.starts) - 1


def item_groups(bundle: Bundle, *, price_minor: Numbers | None = None) -> ItemGroups:
    """The groups of a bundle's items; an attribute that the catalogue lacks leaves its group unknown everywhere.

    `price_minor` (i,) stands in for the catalogue's prices, -1 or 0 = unknown. Some 10 ms for 70,000 items.
    """
    kin, kin_count = _crossed(bundle, KIN_ATTRIBUTES)
    category, category_count = _crossed(bundle, ("category",))
    department, department_count = _crossed(bundle, ("department",))
    price = np.maximum(bundle.catalogue.price_minor if price_minor is None else price_minor, 0).astype(np.float32)
    return ItemGroups(kin, kin_count, category, category_count, department, department_count, price)


def _crossed(bundle: Bundle, names: Sequence[str]) -> tuple[Ints, int]:
    """One code per combination of the attributes' values; items without any value have the last code."""
    key = np.zeros(bundle.item_count, np.int64)
    for name in names:
        attribute = bundle.catalogue.attributes.get(name)
        if attribute is not None:
            _, key = np.unique(key * (len(attribute.vocabulary) + 1) + attribute.codes + 1, return_inverse=True)
    is_known = np.zeros(bundle.item_count, np.bool_)
    for name in names:
        attribute = bundle.catalogue.attributes.get(name)
        if attribute is not None:
            is_known |= attribute.codes >= 0
    values, codes = np.unique(key[is_known], return_inverse=True)
    found = np.full(bundle.item_count, len(values), np.int32)
    found[is_known] = codes
    return found, len(values)


def offer_items(
    bundle: Bundle,
    items: Sequence[Ints],
    *,
    groups: ItemGroups | None = None,
    discount_ratio: Floats | None = None,
    sibling_count: Floats | None = None,
    popularity: Floats | None = None,
) -> OfferItems:
    """The layout of offers given by their `items` in the bundle (repeated ones count once; an offer may have none).

    `discount_ratio`: share of the price taken off, `sibling_count`: offers in its campaign, both (n,), NaN = unknown.
    `popularity` (i,) stands in for the bundle's. Milliseconds for a hundred offers of a thousand items: make it when
    campaigns change, not per request.
    """
    groups = item_groups(bundle) if groups is None else groups
    distinct = [np.unique(its).astype(np.int32) for its in items]
    sizes = np.array([len(its) for its in distinct], np.int32)
    flat = np.concatenate([np.zeros(0, np.int32), *distinct])
    owner = np.repeat(np.arange(len(distinct), dtype=np.int32), sizes)
    place_of, holder_starts, holders = _holders(flat, owner, bundle.item_count)
    kin_starts, kin, kin_share = _kin_runs(groups, flat, owner, sizes)
    standing = np.full((5, len(distinct)), np.nan, np.float32)
    standing[0] = np.log1p(sizes)
    sold = (bundle.popularity if popularity is None else popularity)[flat]
    standing[1] = np.log1p(100 * np.bincount(owner, sold, len(distinct)))
    price = groups.price[flat]
    priced = np.bincount(owner, price > 0, len(distinct))
    worth = np.bincount(owner, price, len(distinct))
    standing[2, priced > 0] = np.log1p(worth[priced > 0] / priced[priced > 0])
    if sibling_count is not None:
        standing[3] = np.log1p(sibling_count)
    if discount_ratio is not None:
        standing[4] = discount_ratio
    return OfferItems(
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        items=flat,
        groups=groups,
        place_of=place_of,
        holder_starts=holder_starts,
        holders=holders,
        kin_starts=kin_starts,
        kin=kin,
        kin_share=kin_share,
        category_share=_shares(groups.category[flat], groups.category_count, owner, sizes),
        department_share=_shares(groups.department[flat], groups.department_count, owner, sizes),
        standing=standing,
    )


def _holders(flat: Ints, owner: Ints, item_count: int) -> tuple[Ints, Ints, Ints]:
    """Where each item stands among those in any offer, and their offers."""
    offered, counts = np.unique(flat, return_counts=True)
    place_of = np.full(item_count, -1, np.int32)
    place_of[offered] = np.arange(len(offered))
    holder_starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return place_of, holder_starts, owner[np.argsort(flat, kind="stable")]


def _kin_runs(groups: ItemGroups, flat: Ints, owner: Ints, sizes: Ints) -> tuple[Ints, Ints, Floats]:
    """Per offer its distinct known kin with their shares of its items, then the closing "unknown"."""
    width = groups.kin_count + 1
    key = owner.astype(np.int64) * width + groups.kin[flat]
    closing = np.arange(len(sizes), dtype=np.int64) * width + groups.kin_count
    keys, counts = np.unique(np.concatenate([key, closing]), return_counts=True)
    run, kin = np.divmod(keys, width)
    share = np.where(kin < groups.kin_count, counts / np.maximum(sizes[run], 1), 0)
    return np.searchsorted(run, np.arange(len(sizes))).astype(np.int32), kin.astype(np.int32), share.astype(np.float32)


def _shares(codes: Ints, count: int, owner: Ints, sizes: Ints) -> Floats:
    """(count + 1, n): which share of each offer's items has each code; none has the unknown one."""
    table = np.zeros((count + 1, len(sizes)), np.float32)
    np.add.at(table, (codes, owner), 1)
    table[count] = 0
    table /= np.maximum(sizes, 1)
    return table
