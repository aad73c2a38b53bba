"""The first block of each audience's page, run where `make demo` would have left a data directory."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import Block, blocks_of, run_blocks, small_shop_names
from tests.support.repository import ROOT
from tests.support.running import Up, bare_environment, endcap, endcap_up
from tests.support.server import wait_until
from tests.support.shop import Shop
from tests.support.world import World, customer, product
from tests.test_docs import DOCS

PAGES = sorted(page.name for page in DOCS.glob("for-*.md"))
OF_CUSTOMERS = ("identity.md", "privacy.md")
ENVIRONMENT = {"ENDCAP_FEATURES_STALE_AFTER_S": str(10**9), "ENDCAP_FEATURE_TIMEOUT_MS": "5000"}
"""The small shop's history ended long ago, and a busy machine must not cost its customer the coupon."""


@pytest.fixture(scope="module")
def clone(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the `.venv` of this test run and the small retailer's data in `var`."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(trained_world.settings.data_dir, folder / "var")
    return folder


@pytest.fixture(scope="module")
def up(clone: Path) -> Iterator[Up]:
    """`endcap up` in the clone, its features in Redis; the pages' customer has a coupon that decisions know."""
    with endcap_up(clone / "var", environment=ENVIRONMENT) as running:
        command = [*endcap("features"), "--data-dir", str(clone / "var")]
        subprocess.run(command, env=bare_environment(), check=True, capture_output=True)
        shop = Shop(running.client, "")
        shop.give(shop.offer(applies_to=[{"product_ids": [product("tea", 0)]}]), customer("tea", 0))
        wait_until(lambda: "coupon" in kinds_shown(running), "decisions know the coupon")
        yield running


def kinds_shown(up: Up) -> set[str]:
    """The kinds of propositions in a decision for that customer."""
    question = {"customer_id": customer("tea", 0), "placement": "app_home", "kinds": ["product", "coupon"]}
    answer = up.client.post("/v1/decisions", json=question).json()
    return {proposition["kind"] for proposition in answer["propositions"]}


@pytest.mark.parametrize("page", PAGES)
def test_first_block_works_when_it_is_pasted_into_a_shell(up: Up, clone: Path, page: str) -> None:
    [block] = blocks_of(DOCS / page)
    assert block.shown, "the page shows what comes out"
    [answer] = run_blocks([block.with_names(small_shop_names(up.client))], clone, ENVIRONMENT)
    assert "urn:endcap:error" not in answer


@pytest.mark.parametrize("page", OF_CUSTOMERS)
def test_every_block_about_customers_works_when_it_is_pasted_into_a_shell(up: Up, clone: Path, page: str) -> None:
    blocks = blocks_of(DOCS / page)
    assert len(blocks) > 1
    answers = run_blocks([block.with_names(small_shop_names(up.client)) for block in blocks], clone, ENVIRONMENT)
    assert not [answer for answer in answers if "urn:endcap:error" in answer]


def test_requests_of_the_readme_work_when_they_are_pasted_into_a_shell(up: Up, tmp_path: Path) -> None:
    decision, event = (block.with_names(small_shop_names(up.client)) for block in blocks_of(ROOT / "README.md")[:2])
    [answer, _] = run_blocks([Block(decision.commands, ""), event], tmp_path)
    assert '"kind":"coupon"' in answer


def test_every_audience_s_page_is_linked_at_the_top_of_the_readme() -> None:
    top = (ROOT / "README.md").read_text().split("\n## ")[0]
    assert len(PAGES) == 6
    assert not [page for page in PAGES if f"(docs/{page})" not in top]
