"""The key table answers as a dictionary would."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.feature_fields import product_key
from app.model.keys import KeyTable

SMALL = st.integers(0, 40) | st.integers(0, 2**52 - 1)


@given(st.lists(SMALL, max_size=60), st.lists(SMALL, max_size=60))
def test_table_answers_as_a_dictionary(keys: list[int], queried: list[int]) -> None:
    expected: dict[int, int] = {}
    for item, key in enumerate(keys):
        expected.setdefault(key, item)
    table = KeyTable(np.array(keys, np.int64))
    assert table.items_of(np.array(queried, np.int64)).tolist() == [expected.get(key, -1) for key in queried]


def test_every_product_of_a_large_catalogue_is_found() -> None:
    keys = np.array([product_key(f"product {number}") for number in range(50_000)], np.int64)
    assert np.array_equal(KeyTable(keys).items_of(keys[::-1]), np.arange(50_000)[::-1])


def test_key_is_a_whole_number_that_a_double_holds() -> None:
    assert product_key("Zoë") == int(product_key("Zoë")) < 2**52
    assert product_key("1") != product_key("01")
