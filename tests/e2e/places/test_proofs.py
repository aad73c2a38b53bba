"""The proofs of live stock in small: what is sold out leaves every process, and one that missed it says so."""

from pathlib import Path
from typing import Any

from benchmarks.places.frozen import stood_still
from benchmarks.places.live_tables import read_from_sql, taken_over
from benchmarks.places.sold_out import broken, sold_out
from benchmarks.places.world import Size
from tests.support.world import World

PRODUCTS = 60


def test_nothing_that_was_sold_out_for_a_second_is_shown_by_two_processes_while_stock_flips(
    trained_world: World,
) -> None:
    # python -m benchmarks.places.sold_out: 100,000 decisions, and how soon.
    found: dict[str, Any] = sold_out(
        trained_world.settings.data_dir, decisions=600, per_s=200, product_count=PRODUCTS, at_least_s=3.0
    )
    assert not broken(found, is_frozen=False), found
    assert found["answers"]["products"] > 200
    assert found["answers"]["both_kinds"] > 200
    assert found["propositions"]["product"] > 2_000
    assert found["propositions"]["coupon"] > 100
    assert found["changes"] > 200
    assert found["accepted_to_gone_ms"]["count"] >= 1


def test_processes_that_do_not_follow_show_what_is_gone_and_flag_it_and_are_noticed(trained_world: World) -> None:
    # Nothing can be gone for a second while the first has not passed, however fast the machine.
    found: dict[str, Any] = sold_out(
        trained_world.settings.data_dir,
        decisions=600,
        per_s=500,
        product_count=PRODUCTS,
        is_frozen=True,
        at_least_s=4.0,
    )
    assert not broken(found, is_frozen=True), found
    assert found["wrong"]["product"] > 20
    assert found["wrong_and_flagged"] == found["wrong"]["product"] + found["wrong"].get("coupon", 0)


def test_a_process_that_stood_still_says_so_until_its_tables_are_right(trained_world: World) -> None:
    # python -m benchmarks.places.frozen: 30 s, 20,000 changes, and how soon.
    found: dict[str, Any] = stood_still(
        trained_world.settings.data_dir, changes=600, seconds=2.5, product_count=PRODUCTS, afterwards_s=2.0
    )
    assert found["other_process_is_right"], found
    assert found["right_after_s"] is not None, found
    assert found["answers"] > 0, found
    assert found["wrong_without_flag"] == found["without_flag_while_tables_were_wrong"] == 0, found
    assert found["tables_wrong_but_fresh"] == 0, found


def test_a_fresh_process_has_all_of_a_snapshot_and_all_of_sql(tmp_path: Path) -> None:
    # python -m benchmarks.places.live_tables: 500 stores of 100,000 products.
    size = Size(20, 2_000)
    found = taken_over(tmp_path, size)
    assert (found["stores"], found["products"]) == (20, 2_000)
    assert found["of_which_mib"]["cells"] == round(20 * 1_000 / 2**20, 1)
    assert found["snapshot_mib"] is not None
    assert read_from_sql(f"sqlite:///{tmp_path / 'rows.db'}", Size(3, 500))["stock"] == 1_500
