"""The kind of shop in words: its facts, and what the ranking makes of them."""

from dataclasses import replace

from tests.unit.training.report.sample_results import sample_results
from training.data.shop import ShopFacts
from training.report.shop import shop_in_words


def test_grocer_is_described_by_repeats_baskets_and_what_is_shown() -> None:
    said = shop_in_words(sample_results())
    assert said.startswith("This looks like a grocer: customers buy the same things again.")
    assert "Of what a customer bought, 62% had been bought before." in said
    assert "A basket holds 8 products and a customer bought 214 different ones (medians); 2% of customers have" in said
    assert "spans 330 days. So 71% of the first ten places hold what the customer had bought before." in said


def test_catalogue_without_times_says_what_cannot_be_known() -> None:
    facts = ShopFacts("catalogue", 900, 1.0, 0.0, 0.0, 30.0, None)
    said = shop_in_words(replace(sample_results(), shop=facts, owned_places=0.0))
    assert "basket" not in said, "each line is one of its own"
    assert "no times, so nothing is known of order" in said
    assert "leaves out what customers own" in said


def test_sessions_are_of_visitors_who_view() -> None:
    said = shop_in_words(replace(sample_results(), shop=ShopFacts("browsing", 900, 5.0, 0.1, 0.9, 5.0, 30.0)))
    assert "A visit holds 5 products and a visitor viewed 5 different ones (medians); 90% of visitors have one" in said
    assert "relies on what follows what in a visit" in said
