"""What is shown of products follows the product table as it is now, and its version says whether two answers agree."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from app.errors import BundleRefused
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.goods.cards import DOCUMENT, NO_CARD
from app.model.product_table import ProductTable
from app.model.reloader import LiveBundle
from tests.support.bundles import copied, document_of
from tests.support.world import World, product

NOW = datetime(2026, 10, 1, tzinfo=UTC)
TEA, OTHER = product("tea", 3), product("tea", 4)
DRAWN = ("image_url", "url", "brand", "category", "rating", "rating_count")


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


@pytest.fixture
def tables(trained_world: World, tmp_path: Path) -> Path:
    """A folder with a copy of the product table that training read."""
    return Path(shutil.copytree(trained_world.settings.tables_dir, tmp_path / "tables"))


def with_cells(tables: Path, **cells: object) -> bytes:
    """The table's bytes from now on: the tea has these cells, the others what they had."""
    path = tables / "products.parquet"
    table = pl.read_parquet(path)
    for name, cell in cells.items():
        kept = pl.col(name) if name in table.columns else pl.lit(None)
        kind = pl.Int64 if name.endswith("_minor") else pl.String
        is_tea = pl.col("product_id") == TEA
        table = table.with_columns(pl.when(is_tea).then(pl.lit(cell, kind)).otherwise(kept).alias(name))
    table.write_parquet(path)
    return path.read_bytes()


def applied(bundle: Bundle, tables: Path) -> Bundle:
    products = ProductTable(tables)
    found = products.applied_to(bundle, now=NOW)
    assert products.problem is None
    return found


def shown(bundle: Bundle, product_id: str = TEA) -> tuple[object, ...]:
    """Name, price and card."""
    catalogue = bundle.catalogue
    item = catalogue.item_of[product_id]
    price = int(catalogue.price_minor[item]) if catalogue.is_listed[item] else None
    return catalogue.names[item], price, catalogue.cards_of([product_id])[0]


def version(bundle: Bundle) -> str:
    return bundle.catalogue.cards.version


def test_without_a_table_the_bundle_says_what_training_read(bundle: Bundle, tmp_path: Path) -> None:
    alone = applied(bundle, tmp_path)
    assert alone is bundle
    assert shown(alone) == ("The tea-3", 250, ("https://cdn.example/tea-3.jpg", "/p/tea-3", None, None, 4.5, 12))
    assert shown(alone, "tea-unsold") == ("The unsold tea", 999, NO_CARD)


def test_every_field_follows_the_table_and_is_gone_when_the_table_has_it_no_more(bundle: Bundle, tables: Path) -> None:
    cells = {"name": "Renamed", "price_minor": 777, "brand": "own", "category": "Green", "rating": "3", "url": "/other"}
    with_cells(tables, **cells, rating_count=None)
    changed = applied(bundle, tables)
    card = ("https://cdn.example/tea-3.jpg", "/other", "own", "Green", 3.0, None)
    assert shown(changed) == ("Renamed", 777, card)
    assert shown(changed, OTHER)[:2] == ("The tea-4", 250)
    with_cells(tables, **dict.fromkeys(cells), rating_count=None, image_url=None)
    assert shown(applied(changed, tables)) == (None, None, NO_CARD)
    pl.read_parquet(tables / "products.parquet").select("product_id").write_parquet(tables / "products.parquet")
    assert shown(applied(changed, tables), OTHER) == (None, None, NO_CARD)


def test_version_is_equal_by_whatever_way_a_server_came_to_the_table(bundle: Bundle, tables: Path) -> None:
    with_cells(tables, name="First", brand="own", price_minor=777)
    on_its_way = applied(bundle, tables)
    with_cells(tables, name="Second", brand="other", price_minor=None)
    late, fresh = applied(on_its_way, tables), applied(bundle, tables)
    assert version(late) == version(fresh)
    assert shown(late) == shown(fresh) == ("Second", None, fresh.catalogue.cards_of([TEA])[0])
    assert len({version(one) for one in (bundle, on_its_way, late)}) == 3


def test_new_products_that_came_and_went_leave_the_version_of_before(bundle: Bundle, tables: Path) -> None:
    path = tables / "products.parquet"
    table = pl.read_parquet(path)
    more = pl.DataFrame({"product_id": ["a", "b"], "name": ["A", "B"], "department": ["TEA", "TEA"]})
    pl.concat([table, more[1:]], how="diagonal").write_parquet(path)
    grown = applied(bundle, tables)
    pl.concat([table, more], how="diagonal").write_parquet(path)
    late, fresh = applied(grown, tables), applied(bundle, tables)
    assert late.catalogue.product_ids != fresh.catalogue.product_ids
    assert version(late) == version(fresh)
    gone = more.with_columns(recommendable=pl.lit("no"))
    pl.concat([table, gone], how="diagonal").write_parquet(path)
    assert version(applied(late, tables)) == version(bundle)


def test_what_does_not_show_changes_no_version(bundle: Bundle, tables: Path) -> None:
    with_cells(tables, unit_cost_minor=90)
    costly = applied(bundle, tables)
    assert costly is not bundle
    assert version(costly) == version(bundle)
    assert costly.catalogue.cards is bundle.catalogue.cards


def test_table_of_the_training_leads_a_changed_bundle_back(bundle: Bundle, tables: Path) -> None:
    path = tables / "products.parquet"
    trained_on = path.read_bytes()
    with_cells(tables, name="Renamed", unit_cost_minor=90)
    changed = applied(bundle, tables)
    path.write_bytes(trained_on)
    back = applied(changed, tables)
    assert (shown(back), version(back)) == (shown(bundle), version(bundle))


def test_older_bundle_reads_the_table_of_its_training_for_what_it_lacks(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    arrays = [f"{name}.npy" for name in ("rating", "rating_count")]
    for name in ("image_url", "url"):
        arrays += [f"{name}_{part}.npy" for part in ("head", "sizes", "rests")]
    old = load_bundle(bundles / copied(bundles, "old", without=[DOCUMENT, *arrays]))
    assert shown(old)[2] == NO_CARD
    updated = applied(old, own_world.settings.tables_dir)
    assert shown(updated)[2] == ("https://cdn.example/tea-3.jpg", "/p/tea-3", None, None, 4.5, 12)
    assert version(updated) != version(old)


def served(world: World, tables: Path) -> LiveBundle:
    live = LiveBundle(world.settings.bundles_dir, tables_dir=tables, warm=lambda _: None, on_refused=lambda _: None)
    assert live.refresh()
    return live


def live_bundle(live: LiveBundle) -> Bundle:
    live.refresh()
    assert live.bundle is not None
    return live.bundle


def test_server_whose_table_is_taken_away_goes_back_to_the_bundle(own_world: World, tables: Path) -> None:
    live = served(own_world, tables)
    trained = live_bundle(live)
    with_cells(tables, name="Renamed", url="/other")
    assert shown(live_bundle(live))[0] == "Renamed"
    (tables / "products.parquet").unlink()
    back = live_bundle(live)
    assert (shown(back), version(back)) == (shown(trained), version(trained))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"url_rests.npy": np.zeros(3, np.uint8)}, "bytes of 'url'"),
        ({"url_head.npy": np.full(61, 7, np.int32)}, "holds position 7 of 1 beginnings of 'url'"),
    ],
)
def test_addresses_that_do_not_fit_together_are_refused(
    own_world: World, arrays: Mapping[str, npt.NDArray[np.generic]], fault: str
) -> None:
    bundles = own_world.settings.bundles_dir
    assert document_of(bundles, DOCUMENT)["heads"]["url"] == ["/p/"]
    with pytest.raises(BundleRefused, match=fault):
        load_bundle(bundles / copied(bundles, "astray", arrays=arrays))
