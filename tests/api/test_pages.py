"""Pages that are pasted into a shell, each against a small shop in place of the demo."""

from pathlib import Path

import httpx

from tests.support.pages import blocks_of, run_blocks
from tests.support.shop import Shop
from tests.support.world import customer, product
from tests.test_docs import DOCS

SERVICE = "http://127.0.0.1:8000"
NAMES = {"900": customer("tea", 0), "330": "s0", "1082185": product("tea", 1), "PRODUCE": "TEA", "USD": "EUR"}
"""What the demo's customer, store, product, department and currency are called in the small shop."""


def test_coupons_page_works_when_it_is_pasted_into_a_shell(shop: Shop, tmp_path: Path) -> None:
    blocks = blocks_of(DOCS / "coupons.md")
    assert len(blocks) >= 15
    assert "".join(block.commands for block in blocks).count(SERVICE) == 1
    run_blocks(blocks, tmp_path, {"ENDCAP": str(shop.client.base_url).rstrip("/")})
    assert (tmp_path / "coupon.svg").read_text().startswith("<svg")


def test_planning_page_works_when_it_is_pasted_into_a_shell(api: httpx.Client, tmp_path: Path) -> None:
    blocks = blocks_of(DOCS / "campaign-planning.md")
    assert len(blocks) == 3
    simulated = run_blocks([block.with_names(names(api)) for block in blocks], tmp_path)[1]
    assert '"redemptions":0' not in simulated


def names(api: httpx.Client) -> dict[str, str]:
    """The small shop's names for what is the demo's, the address of its service among them."""
    return NAMES | {SERVICE: str(api.base_url).rstrip("/")}
