"""What the demo shows of stock is so, and the demo fails where it is not."""

from datetime import UTC, datetime, timedelta

import pytest

from app.commands.demo.client import DECISIONS, DemoFailure
from app.commands.demo.sold_out import PutAside, StockThere, put_aside, report, sell_out, stock_in
from tests.support.server import wait_until
from tests.unit.commands.demo.conftest import Demo

MOMENT = timedelta(milliseconds=300)


def question(**context: object) -> dict[str, object]:
    return {"anonymous_id": "a", "placement": "app_home", "size": 20, "exclude": [], "context": context}


def shown(demo: Demo, **context: object) -> set[str]:
    return {one["product_id"] for one in demo.client.post(DECISIONS, question(**context))["propositions"]}


def left(demo: Demo, **context: object) -> set[float | None]:
    """What is left of each product shown, where it is little."""
    answer = demo.client.post(DECISIONS, question(**context))
    return {one["options"][0]["quantity_left"] for one in answer["propositions"]}


def test_product_with_the_fewest_pieces_sells_out_and_is_gone(demo: Demo) -> None:
    here = {"store_id": "s0", "fulfilment": ["in_store"]}
    last = demo.client.post(DECISIONS, question(**here))["propositions"][-1]["product_id"]
    there = stock_in(demo.client, "s0", last).available
    now = datetime.now(UTC)
    assert not report(demo.client, [("s0", last, 2 - there)], source="test", at=now)
    wait_until(lambda: 2 in left(demo, **here), "two are left")
    sold = sell_out(demo.client, question(**here), "s0")
    assert (sold.product_id, sold.pieces) == (last, 2)
    assert last not in shown(demo, **here)
    assert stock_in(demo.client, "s0", last) == StockThere(0, 0, 0)
    assert now <= sold.sold_at < sold.gone_at
    text = "\n".join(sold.lines())
    assert "SIMULATED" in text
    assert f"{(sold.gone_at - sold.sold_at) / timedelta(milliseconds=1):.0f} ms later" in text


def test_product_that_stays_in_the_answer_fails_the_demo(demo: Demo) -> None:
    # What another store sells leaves this one's answer as it is.
    with pytest.raises(DemoFailure, match="still shown"):
        sell_out(demo.client, question(store_id="s0", fulfilment=["in_store"]), "s1", gone_within=MOMENT)


def test_store_that_is_not_on_the_map_has_nothing_to_sell(demo: Demo) -> None:
    with pytest.raises(DemoFailure, match="nobody knows how much"):
        sell_out(demo.client, question(store_id="s0"), "s9")


def test_piece_is_put_aside_and_given_back(demo: Demo) -> None:
    here = {"store_id": "s0", "fulfilment": ["pickup"]}
    [first] = demo.client.post(DECISIONS, question(**here) | {"size": 1})["propositions"]
    found = put_aside(demo.client, question(**here), but_not=first["product_id"])
    assert found.held == StockThere(found.before.quantity, 1, found.before.available - 1)
    assert found.name != first["name"]
    assert f"  reserved: {found.before.available - 1:g} available, 1 put aside" in found.lines()


def test_demo_fails_where_nothing_can_be_picked_up(demo: Demo) -> None:
    with pytest.raises(DemoFailure, match="nothing can be picked up"):
        put_aside(demo.client, question(store_id="s0", fulfilment=["in_store"]), but_not="")


@pytest.mark.parametrize(
    ("held", "after"),
    [
        (StockThere(5, 0, 5), StockThere(5, 0, 5)),
        (StockThere(4, 1, 3), StockThere(5, 0, 5)),
        (StockThere(5, 1, 4), StockThere(5, 1, 4)),
        (StockThere(5, 1, 4), StockThere(4, 0, 4)),
    ],
)
def test_quantities_that_do_not_add_up_fail_the_demo(held: StockThere, after: StockThere) -> None:
    before = StockThere(5, 0, 5)
    PutAside("s0", "Tea", "today", before, StockThere(5, 1, 4), before).check()
    with pytest.raises(DemoFailure, match="do not add up"):
        PutAside("s0", "Tea", "today", before, held, after).check()
