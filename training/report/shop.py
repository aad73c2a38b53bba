"""What a report says of the shop: which kind it looks like, by which facts, and what its ranking relies on."""

from training.data.shop import BROWSING, CATALOGUE, GROCER, MIXED, ShopFacts
from training.evaluation.results import EvaluationResults

LOOKS = {
    GROCER: "This looks like a grocer: customers buy the same things again.",
    MIXED: "This looks like a shop of staples and single purchases: some things are bought again.",
    CATALOGUE: "This looks like a general catalogue: hardly anything is bought twice.",
    BROWSING: "This looks like browsing or listening: nothing is bought, visitors look at one thing after the other.",
}
SOURCES_NAMED = 2


def shop_in_words(results: EvaluationResults) -> str:
    """One short paragraph."""
    return " ".join([LOOKS[results.shop.kind], *_facts(results.shop), _relies_on(results)])


def _facts(shop: ShopFacts) -> list[str]:
    looked = shop.kind == BROWSING
    basket, customer, bought = ("visit", "visitor", "viewed") if looked else ("basket", "customer", "bought")
    said = [f"Of what a {customer} {bought}, {shop.repeat_share:.0%} had been {bought} before."]
    # Without times and ids of baskets every line is a basket of its own.
    if shop.span_days is not None or shop.basket_size_median > 1:
        said.append(
            f"A {basket} holds {shop.basket_size_median:g} products and a {customer} {bought} "
            f"{shop.products_per_customer_median:g} different ones (medians); {shop.one_basket_share:.0%} of "
            f"{customer}s have one {basket} only."
        )
    else:
        said.append(f"A {customer} {bought} {shop.products_per_customer_median:g} different products (median).")
    if shop.span_days is None:
        said.append("The history has no times, so nothing is known of order, intervals and trends.")
    else:
        said.append(f"The history spans {shop.span_days:,.0f} days.")
    return said


def _relies_on(results: EvaluationResults) -> str:
    """What is shown, and which candidate sources find it."""
    if results.shop.kind == BROWSING:
        said = "So the ranking relies on what follows what in a visit"
    elif results.owned_places == 0:
        said = "So the ranking leaves out what customers own and relies on likeness to it"
    else:
        said = f"So {results.owned_places:.0%} of the first ten places hold what the customer had bought before"
    sources = next(iter(results.sources.values())).each
    best = sorted(sources, key=lambda name: (-sources[name].found.mean, name))[:SOURCES_NAMED]
    if not best:
        return f"{said}."
    finds = " and ".join(f"{name} {sources[name].found.mean:.0%}" for name in best)
    return f"{said}. Of what was to be found, the candidate sources that hold most are {finds}."
