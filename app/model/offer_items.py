"""Which products each coupon is good for, laid out so that a decision asks it by what a customer bought."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints
from app.model.bundle import Bundle

KIN_ATTRIBUTES = ("department", "category", "product_type", "brand")
"""Products that agree in all of these which the catalogue has are kin: the same thing in another size or flavour."""

PLACE, KIN, CATEGORY, DEPARTMENT = range(4)
"""The columns of `OfferItems.codes`."""
UNHELD = 0
"""The code of what no offer holds, and of what is unknown."""

Positions = npt.NDArray[np.intp]
"""What arrays are indexed with again and again: numpy would turn other integers into these each time."""
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

    What does not depend on the customer stands ready. `codes` (i, 4) holds each item's position among all offers' items
    (-1 = in none), kin, category and department, the latter three numbered in one row and those that no offer holds all
    UNHELD: what a customer bought is looked up in one stroke, and counted in a short table of `code_count`.
    `holder_pairs[holder_starts[p]:holder_starts[p + 1]]` say where in `items` the item with position p stands; `owner`
    and `price` are whose each of `items` is, and what it costs. `shares` says which share of an offer's items has each
    of `share_codes`: offers' kin, then their categories, then departments; each run begins at its position in
    `alike_starts` (3n,) and ends with UNHELD and share 0. `kin_codes` and `kin_starts` (n,) are the first third.
    `standing` (5, n): log1p of breadth, of popularity, of mean price and of the offers in its campaign; discount ratio.
    NaN = unknown.
    """

    starts: Ints
    items: Ints
    groups: ItemGroups
    codes: Ints
    code_count: int
    price: Floats
    holder_starts: Positions
    holder_pairs: Positions
    owner: Positions
    kin_starts: Positions
    kin_codes: Positions
    alike_starts: Positions
    share_codes: Positions
    shares: Floats
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
            # Numbered again after each attribute, so that the product of vocabularies never overflows.
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
    owner = np.repeat(np.arange(len(distinct)), sizes)
    position_of, holder_starts = _positions(flat, bundle.item_count)
    codes, code_count = _codes(groups, flat, position_of)
    runs = [_runs(codes[flat, column], owner, sizes, code_count) for column in (KIN, CATEGORY, DEPARTMENT)]
    standing = np.full((5, len(distinct)), np.nan, np.float32)
    standing[0] = np.log1p(sizes)
    sold = (bundle.popularity if popularity is None else popularity)[flat]
    # A product's popularity lies in [0, 1], where log1p hardly bends: in hundredths it does.
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
        codes=codes,
        code_count=code_count,
        holder_starts=holder_starts,
        holder_pairs=np.argsort(flat, kind="stable"),
        owner=owner,
        price=price,
        **_joined(runs),
        standing=standing,
    )


def _positions(flat: Ints, item_count: int) -> tuple[Ints, Positions]:
    """Where each item stands among those in any offer, and where their holders begin."""
    distinct, counts = np.unique(flat, return_counts=True)
    position_of = np.full(item_count, -1, np.int32)
    position_of[distinct] = np.arange(len(distinct))
    return position_of, np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def _codes(groups: ItemGroups, flat: Ints, position_of: Ints) -> tuple[Ints, int]:
    """`OfferItems.codes` and how many codes there are."""
    columns, count = [position_of], 1
    for codes, unknown in (
        (groups.kin, groups.kin_count),
        (groups.category, groups.category_count),
        (groups.department, groups.department_count),
    ):
        held = np.unique(codes[flat])
        held = held[held < unknown]
        held_code = np.full(unknown + 1, UNHELD, np.int32)
        held_code[held] = np.arange(count, count + len(held))
        columns.append(held_code[codes])
        count += len(held)
    return np.stack(columns, axis=1), count


class _Runs(NamedTuple):
    starts: Positions
    codes: Positions
    shares: Floats


def _runs(codes: Ints, owner: Positions, sizes: Ints, code_count: int) -> _Runs:
    """Per offer its distinct held codes with their shares of its items, then the closing UNHELD."""
    key = owner * code_count + np.where(codes == UNHELD, code_count, codes) - 1
    # np.add.reduceat() gives an empty run the value after it: with a closing entry none is empty.
    closing = np.arange(len(sizes), dtype=np.int64) * code_count + code_count - 1
    keys, counts = np.unique(np.concatenate([key, closing]), return_counts=True)
    run, found = np.divmod(keys, code_count)
    is_closing = found == code_count - 1
    share = np.where(is_closing, 0, counts / np.maximum(sizes[run], 1)).astype(np.float32)
    starts = np.searchsorted(run, np.arange(len(sizes)))
    return _Runs(starts, np.where(is_closing, UNHELD, found + 1), share)


def _joined(runs: Sequence[_Runs]) -> dict[str, Any]:
    """The runs of kin, categories and departments one after the other."""
    kin = runs[0]
    before = np.concatenate([[0], np.cumsum([len(one.codes) for one in runs])])
    return {
        "kin_starts": kin.starts,
        "kin_codes": kin.codes,
        "alike_starts": np.concatenate([one.starts + at for one, at in zip(runs, before[:-1], strict=True)]),
        "share_codes": np.concatenate([one.codes for one in runs]),
        "shares": np.concatenate([one.shares for one in runs]),
    }
