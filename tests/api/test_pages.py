"""Pages about coupons and places, pasted into a shell against a small shop."""

from pathlib import Path

import httpx

from tests.support.pages import DEMO, blocks_of, run_blocks, small_shop_names
from tests.support.server import serving
from tests.support.shop import Shop
from tests.support.world import World, product
from tests.test_docs import DOCS


def test_coupons_page_works_when_it_is_pasted_into_a_shell(shop: Shop, tmp_path: Path) -> None:
    blocks = blocks_of(DOCS / "coupons.md")
    assert len(blocks) >= 15
    assert "".join(block.commands for block in blocks).count(DEMO) == 1
    run_blocks(blocks, tmp_path, {"ENDCAP": str(shop.client.base_url).rstrip("/")})
    assert (tmp_path / "coupon.svg").read_text().startswith("<svg")


def test_planning_page_works_when_it_is_pasted_into_a_shell(api: httpx.Client, tmp_path: Path) -> None:
    blocks = blocks_of(DOCS / "campaign-planning.md")
    assert len(blocks) == 3
    simulated = run_blocks([block.with_names(small_shop_names(api)) for block in blocks], tmp_path)[1]
    assert '"redemptions":0' not in simulated


def test_places_page_works_when_it_is_pasted_into_a_shell(own_world: World, tmp_path: Path) -> None:
    blocks = blocks_of(DOCS / "places.md")
    assert len(blocks) == 11
    # A service of its own: its stores would restrict what other tests may have.
    settings = own_world.settings.model_copy(update={"currency": "EUR"})
    with serving(settings, own_world.redis_url) as client:
        names = small_shop_names(client) | {"995242": product("tea", 1)}
        run_blocks([block.with_names(names) for block in blocks], tmp_path)
        assert client.get("/v1/stores").json() == {"stores": []}
