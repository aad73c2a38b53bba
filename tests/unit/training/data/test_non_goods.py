"""What is no goods, by its words and by how it is sold, and which goods only look so."""

from collections.abc import Iterable, Mapping

import polars as pl
import pytest

from tests.support.rows import history_of
from training.data.non_goods import NonGood, find_non_goods


def lines(product_id: str, *amounts_minor: int, quantity: float = 1, **fields: object) -> list[dict[str, object]]:
    """A purchase of the product in a basket of its own for each amount."""
    return [
        {"product_id": product_id, "amount_minor": amount, "quantity": quantity, "basket_id": f"{product_id}-{number}"}
        | fields
        for number, amount in enumerate(amounts_minor)
    ]


GOODS = [row for number in range(100) for row in lines(f"g{number}", 200, 210)]
VARIED = (100, 250, 250, 400, 400, 700, 900, 1500, 4000, 9000)


def found(rows: Iterable[Mapping[str, object]], products: Iterable[Mapping[str, object]] = ()) -> dict[str, NonGood]:
    table = pl.DataFrame(
        [{"product_id": f"g{number}", "name": f"Good {number}", "category": "Goods"} for number in range(100)]
        + [dict(one) for one in products],
        schema={"product_id": pl.String, "name": pl.String, "category": pl.String, "recommendable": pl.String},
    )
    history = history_of([*GOODS, *rows], type="purchase", currency="EUR")
    return {one.product_id: one for one in find_non_goods(history, table)}


def test_goods_alone_are_goods() -> None:
    assert found(lines("by weight", *VARIED), [{"product_id": "by weight", "name": "Ham", "category": "Deli"}]) == {}
    assert found(lines("unknown", 100, 200)) == {}


def test_words_and_prices_that_vary_leave_a_charge_out() -> None:
    one = found(lines("POST", *VARIED), [{"product_id": "POST", "name": "Carriage", "category": "Other"}])["POST"]
    assert one == NonGood(
        "POST",
        "Carriage",
        10,
        (
            "its id says so",
            "its name says so",
            "some pieces cost 90 times as much as others",
            "one piece each in 5% of all baskets",
        ),
        is_left_out=True,
    )


@pytest.mark.parametrize(
    ("product_id", "name", "category"),
    [
        ("1", "Carrier bag", None),
        ("2", "Flaschenpfand 0,25", None),
        ("3", "Gift card 25 EUR", "Gift cards"),
        ("4", "Frais de port", None),
        ("5", "Shipping & Handling", None),
        ("DOT", "DOTCOM POSTAGE", "Other"),
    ],
)
def test_words_and_a_second_thing_are_enough(product_id: str, name: str, category: str | None) -> None:
    described = {"product_id": product_id, "name": name, "category": category}
    assert found(lines(product_id, 25), [described])[product_id].is_left_out


@pytest.mark.parametrize(
    "name",
    [
        "Leather handbag", "Tea bags 20 ct", "Manual can opener", "Gift card box", "Coffee", "Porto 0,75 l",
        "Discovery", "Tin deposit box", "Postcard", "Voucher wallet", "Sampler", "Adjustable wrench", "Garbage bags",
        "Mailing bag", "Toll house cookies", "Pfandkuchen", "Fleece",
    ],
)  # fmt: skip
def test_goods_whose_names_only_sound_so_stay(name: str) -> None:
    one = found(lines("x", *VARIED), [{"product_id": "x", "name": name, "category": None}])["x"]
    assert one.evidence[0].startswith("some pieces cost"), "it has no category, and is worth a look"
    assert not one.is_left_out


def test_word_alone_is_worth_a_look_only() -> None:
    one = found(lines("7", 100), [{"product_id": "7", "name": "Donation", "category": "Goods"}])["7"]
    assert (one.evidence, one.is_left_out) == (("its name says so",), False)


def test_name_that_is_the_id_is_one_thing_and_not_two() -> None:
    described = {"product_id": "POSTAGE", "name": "Postage", "category": "Goods"}
    assert found(lines("POSTAGE", 100), [described])["POSTAGE"].evidence == ("its id says so",)


def test_discount_that_only_comes_back_is_left_out() -> None:
    rows = lines("D", *[100] * 12, type="refund")
    one = found(rows, [{"product_id": "D", "name": "Discount", "category": "Goods"}])["D"]
    assert (one.lines, one.evidence) == (0, ("its name says so", "100% of its lines are returns"))
    assert one.is_left_out


def test_bag_in_every_fifth_basket_is_known_by_its_name_only() -> None:
    rows = [row | {"product_id": name} for name in ("55", "56") for row in lines("any", *[10] * 50)]
    names = {"55": "Carrier bag", "56": "Milk"}
    one = found(rows, [{"product_id": key, "name": name, "category": "Goods"} for key, name in names.items()])
    assert list(one) == ["55"]
    assert one["55"].evidence == ("its name says so", "one piece each in 20% of all baskets")


def test_what_costs_nothing_and_is_not_described_is_left_out() -> None:
    one = found(lines("998", *[0] * 12, quantity=2))["998"]
    assert one.evidence == ("100% of its lines are free", "no category, which most products have")
    assert one.is_left_out
    described = {"product_id": "998", "name": "Toothbrush", "category": None}
    assert not found(lines("998", *[0] * 12), [described])["998"].is_left_out


def test_shop_that_does_not_say_what_things_cost_gives_nothing_away() -> None:
    rows = [row | {"amount_minor": 0} for row in GOODS] + lines("x", *[0] * 12, quantity=2)
    history = history_of(rows, type="purchase")
    table = pl.DataFrame([{"product_id": f"g{number}", "category": "Goods"} for number in range(100)])
    assert find_non_goods(history, table) == []


@pytest.mark.parametrize("said", ["yes", "no"])
def test_retailer_s_own_word_ends_the_search(said: str) -> None:
    described = {"product_id": "POST", "name": "Postage", "recommendable": said}
    assert found(lines("POST", *VARIED), [described]) == {}


def test_history_without_a_product_table_amounts_or_purchases_can_be_searched() -> None:
    pairs = [{"customer_id": f"c{number}", "product_id": f"{number % 7}"} for number in range(200)]
    assert find_non_goods(history_of(pairs, type="purchase"), None) == []
    assert find_non_goods(history_of(pairs, type="view_item"), None) == []
    assert find_non_goods(history_of([]), None) == []
