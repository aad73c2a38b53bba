"""Which products a selection names, over the whole catalogue or among some items."""

import numpy as np
import pytest

from app.domain import ItemIdx, Selection
from app.model.bundle import Attribute, Catalogue
from app.model.keys import KeyTable
from app.settings import ProductSelector

NAMES = ("a", "b", "c", "d")
UNKNOWN = -1
CATALOGUE = Catalogue(
    product_ids=NAMES,
    item_of={name: ItemIdx(item) for item, name in enumerate(NAMES)},
    names=NAMES,
    price_minor=np.full(4, UNKNOWN, np.int64),
    unit_cost_minor=np.full(4, UNKNOWN, np.int64),
    attributes={
        "category": Attribute(np.array([0, 1, UNKNOWN, 0], np.int32), ("tea", "milk"), {"tea": 0, "milk": 1}),
    },
    currency=None,
    keys=KeyTable(np.arange(4, dtype=np.int64)),
    is_listed=np.zeros(4, np.bool_),
)


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (ProductSelector(product_ids=("d", "b", "gone")), "bd"),
        (ProductSelector(attribute="category", values=("tea",)), "ad"),
        (ProductSelector(attribute="category", values=("milk", "coffee")), "b"),
        (ProductSelector(attribute="brand", values=("tea",)), ""),
        (Selection(attribute="category", values=("tea", "milk")), "abd"),
    ],
)
def test_selection_names_its_products_among_all_and_among_some(
    selected: ProductSelector | Selection, expected: str
) -> None:
    mask = CATALOGUE.mask_of(selected)
    assert "".join(np.array(NAMES)[mask]) == expected
    some = np.array([3, 2, 1], np.int32)
    assert CATALOGUE.mask_of(selected, some).tolist() == mask[some].tolist()


@pytest.mark.parametrize("wanted_count", range(9))
def test_filter_by_many_values_passes_what_filters_by_each_pass(wanted_count: int) -> None:
    vocabulary = [f"v{number}" for number in range(12)]
    codes = np.random.default_rng(1).integers(-1, 12, 500).astype(np.int32)
    attribute = Attribute(codes, vocabulary, {value: code for code, value in enumerate(vocabulary)})
    wanted = vocabulary[3 : 3 + wanted_count]
    of_each = [code >= 0 and vocabulary[code] in wanted for code in codes.tolist()]
    assert attribute.is_one_of([*wanted, "unheard-of"]).tolist() == of_each
    some = np.arange(0, 500, 7, dtype=np.int32)
    assert attribute.is_one_of(wanted, some).tolist() == of_each[::7]
