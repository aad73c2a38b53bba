"""The kind of shop follows from who buys what how often."""

from datetime import UTC, datetime, timedelta
from string import ascii_lowercase

import pytest

from tests.support.rows import history_of, untimed
from training.data.dataset import Dataset, load_interactions
from training.data.shop import shop_facts

START = datetime(2026, 1, 1, tzinfo=UTC)


def bought(lines: list[tuple[str, str, int]], *, event: str = "purchase") -> Dataset:
    """Of lines (customer, products as letters, day)."""
    rows = [
        {"customer_id": who, "product_id": product, "time": START + timedelta(days=day)}
        for who, products, day in lines
        for product in products
    ]
    return load_interactions(history_of(rows, type=event), None)


def test_facts_of_a_few_baskets_are_those_counted_by_hand() -> None:
    facts = shop_facts(bought([("ann", "abc", 0), ("ann", "ab", 7), ("ann", "a", 14), ("bob", "d", 3)]))
    assert (facts.kind, facts.baskets, facts.basket_size_median, facts.span_days) == ("grocer", 4, 1.5, 14)
    assert facts.repeat_share == pytest.approx(3 / 7, abs=1e-4), "a twice more, b once more, of seven lines"
    assert (facts.one_basket_share, facts.products_per_customer_median) == (0.5, 2)


@pytest.mark.parametrize(("again", "kind"), [(20, "grocer"), (3, "mixed"), (1, "catalogue")])
def test_share_of_repeats_tells_a_grocer_from_a_catalogue(again: int, kind: str) -> None:
    baskets = [("ann", ascii_lowercase, 0), *(("ann", "a", day) for day in range(1, 1 + again))]
    assert shop_facts(bought(baskets)).kind == kind


def test_visits_without_purchases_are_browsing_and_times_may_be_missing() -> None:
    assert shop_facts(bought([("ann", "ab", 0)], event="view_item")).kind == "browsing"
    assert shop_facts(untimed([("ann", "a"), ("bob", "b")])).span_days is None
