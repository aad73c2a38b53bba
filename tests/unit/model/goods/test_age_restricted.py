"""Which words make a product one for people of age, and which only sound so."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from app.model.goods.age_restricted import age_limit, is_restricted_group, is_restricted_name, unrestricted_items


@pytest.mark.parametrize(
    "group",
    [
        "CIGARETTES", "TOBACCO OTHER", "BEERS/ALES", "DOMESTIC WINE", "LIQUOR", "SPIRITS", "alcohol",
        "Beer, Wine & Spirits", "Beers, Wines & More", "Beer and Cider", "Tobacco & Vapes", "E-Cigarettes",
        "E-Liquids", "Vodkas(42 under proof)", "Food, Beverages & Tobacco > Tobacco Products > Cigars",
        "Food, Beverages & Tobacco > Beverages > Alcoholic Beverages", "Spirituosen", "Tabakwaren", "Wein & Sekt",
        "Rotwein", "Bières", "Vins et spiritueux", "Vinos y licores", "Wijnen", "Birra e vino", "Sigarette",
        "Mixed Wine Cases",
    ],
)  # fmt: skip
def test_group_of_tobacco_or_alcohol_is_restricted(group: str) -> None:
    assert is_restricted_group(group)


@pytest.mark.parametrize(
    "group",
    [
        "Food, Beverages & Tobacco", "Food, Beverages & Tobacco > Food Items", "Drinks & Tobacco",
        "Cooking, Food & Wine", "Wine & Cheese", "Wine glasses", "Wine Racks", "Beer Mugs", "Cigar lighters",
        "VINEGAR WINE/RICE", "COOKING WINES", "Alcohol-free beer", "Non-Alcoholic Wines", "Rubbing alcohol",
        "Root beer", "MIXERS(TONIC WTR/GNGR ALE)FLAV", "Ginger", "Sales", "Swine", "Drums", "Originals",
        "SMOKED MEATS", "SMOKE DETECTORS", "Books > Food & Drink > Wine Books", "Spirit of Christmas", "Weingläser",
        "Alkoholfreie Getränke", "APPLE JUICE & CIDER (OVER 50%", "", "&",
    ],
)  # fmt: skip
def test_group_that_only_sounds_so_is_not(group: str) -> None:
    assert not is_restricted_group(group)


@pytest.mark.parametrize(
    ("name", "is_restricted"),
    [
        ("Cigarettes, carton", True),
        ("Helles Bier 0,5 l", True),
        ("Pale ale 330ml", True),
        ("Gin 40 % vol", True),
        ("RED RETROSPOT WINE BAG", False),
        ("Beer sign", False),
        ("Wine glass 35 cl", False),
        ("Ginger beer 330 ml", False),
        ("Tobacco candle", False),
        ("Orange juice 1 l", False),
    ],
)
def test_name_says_so_by_tobacco_or_by_alcohol_with_a_volume(name: str, *, is_restricted: bool) -> None:
    assert is_restricted_name(name) == is_restricted


@pytest.mark.parametrize(
    ("value", "limit"), [("yes", 18), ("no", 0), ("18", 18), (" 16 ", 16), ("3", 3), ("maybe", None), ("", None)]
)
def test_age_limit_of_what_the_product_table_says(value: str, limit: int | None) -> None:
    assert age_limit(value) == limit


def unrestricted(names: Sequence[str | None], **columns: Sequence[str | None]) -> list[bool] | None:
    """The mask of products with these values."""
    coded: Mapping[str, tuple[np.ndarray, list[str]]] = {
        name: (np.array([-1 if value is None else position for position, value in enumerate(values)], np.int32),
               [value or "" for value in values])
        for name, values in columns.items()
    }  # fmt: skip
    mask = unrestricted_items(names, coded)
    return None if mask is None else mask.tolist()


def test_product_is_restricted_by_any_of_its_groups_and_by_no_other_column() -> None:
    names = ["a", "b", "c", "d"]
    found = unrestricted(
        names,
        department=["GROCERY", "SPIRITS", "FASHION", None],
        category=["BEERS/ALES", "NUTS", "SHIRTS", None],
        colour=["gold", "gold", "Wine", "Rum"],
    )
    assert found == [False, False, True, True]


def test_catalogue_without_such_products_has_no_mask() -> None:
    assert unrestricted(["a", None], category=["Tea", None]) is None
    assert unrestricted([]) is None


def test_name_counts_only_where_no_group_is_known() -> None:
    names = ["Beer 0.5 l", "Beer 0.5 l"]
    assert unrestricted(names, category=["Party", None]) == [True, False]


def test_shop_of_wines_is_restricted_by_its_table_alone() -> None:
    wines = [f"Wine {number}" for number in range(6)]
    groups = ["Wine"] * 4 + ["Glasses"] * 2
    assert unrestricted(wines, category=groups) is None
    assert unrestricted(wines, category=groups, age_restricted=["18", *[None] * 5]) == [False, *[True] * 5]


def test_what_the_product_table_says_of_a_product_counts_before_words() -> None:
    found = unrestricted(
        ["a", "b", "c", "d", "e", "f"],
        category=["BEER", "BEER", "TOYS", "KNIVES", "TOYS", "BEER"],
        age_restricted=["no", None, "3", "18", "yes", "who knows"],
    )
    assert found == [True, False, True, False, False, False]
