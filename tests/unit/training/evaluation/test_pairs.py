"""Two bundles on the same queries: each numbers its products as it likes."""

from dataclasses import replace

from app.model.bundle import current_version, load_bundle
from tests.support.world import World
from training.evaluation.pairs import paired, queries_by_kind
from training.release.comparison import SEED
from training.release.replay import held_out_queries


def test_bundle_may_number_its_products_in_another_way_than_the_history(trained_world: World) -> None:
    settings = trained_world.settings
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    held_out = held_out_queries(settings, seed=SEED)
    last = len(held_out.product_ids) - 1
    turned = replace(held_out.every, truth=[last - items[::-1] for items in held_out.every.truth])
    plain, other = (
        paired((bundle, bundle), queries, ids, lambda *_: None, seed=SEED)
        for queries, ids in ((held_out.every, held_out.product_ids), (turned, held_out.product_ids[::-1]))
    )
    assert plain == other
    assert plain.first.figures["ndcg@10"].mean > 0


def test_every_second_query_is_also_there_with_its_basket_begun(trained_world: World) -> None:
    held_out = held_out_queries(trained_world.settings, seed=SEED)
    found = queries_by_kind(held_out.every, held_out.product_ids, seed=SEED)
    assert list(found) == ["no_basket", "basket_begun"]
    assert len(found["no_basket"]) == len(held_out.every)
    assert 0 < len(found["basket_begun"]) <= len(held_out.every) / 2
