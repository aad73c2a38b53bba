"""Cards of products take few bytes, and come out as the product table has them."""

import polars as pl
import pytest

from app.model.goods.cards import COLUMNS, NO_CARD, CardColumns, Texts, cards_of
from app.model.goods.facts import columns_of, drawn_of, facts_of, packed

IDS = ["a", "b", "c"]


def rows_of(**columns: list[str | None]) -> pl.DataFrame:
    """Three rows of a product table."""
    return pl.DataFrame({"product_id": IDS, **columns})


def bytes_of(texts: Texts) -> int:
    return texts.head.nbytes + texts.ends.nbytes + len(texts.rests) + sum(map(len, texts.heads))


@pytest.mark.parametrize(
    "texts",
    [
        ["https://cdn.example/1.jpg", None, "https://cdn.example/2.jpg"],
        ["https://a.example/1.jpg", "HTTP://b.example/ä.jpg", "/p/3", "//c.example/4", None, "https://d.example"],
        ["/p/1", "/p/1", "/p/10"],
        [f"https://{host}.example/ü/{number}" for host in "ab" for number in range(20)],
    ],
)
def test_packed_addresses_are_those_that_went_in(texts: list[str | None]) -> None:
    kept = packed(pl.Series(texts, dtype=pl.String))
    assert [kept.text(item) for item in range(len(texts))] == texts


def test_what_addresses_share_is_kept_once() -> None:
    shared = "https://cdn.example/media/catalog/product/cache/"
    texts = pl.Series([f"{shared}{number:06}.jpg" for number in range(1000)])
    kept = packed(texts)
    assert kept.heads == [f"{shared}000"]
    assert bytes_of(kept) < 20 * len(texts)
    # A host of its own for each product shares nothing but the scheme, and costs no head each.
    others = packed(pl.Series([f"https://shop-{number}.example/{number}" for number in range(1000)]))
    assert len(others.heads) == 1


def test_card_is_what_the_table_says_and_none_where_it_says_nothing() -> None:
    rows = rows_of(
        image_url=["https://cdn.example/a.jpg", None, None],
        url=["/p/a", "/p/b", None],
        brand=["own", None, None],
        rating=["4.5", "0", None],
        rating_count=["12", "0", None],
    )
    drawn = drawn_of(rows)
    codes = pl.Series([0, -1, -1], dtype=pl.Int32).to_numpy()
    cards = cards_of(columns_of(drawn, {"brand": (codes, ["own"])}), bundle_version="1", facts="")
    assert [cards.of(item) for item in range(3)] == [
        ("https://cdn.example/a.jpg", "/p/a", "own", None, 4.5, 12),
        (None, "/p/b", None, None, 0.0, 0),
        NO_CARD,
    ]


def test_words_that_a_table_of_before_kept_are_not_drawn() -> None:
    drawn = drawn_of(
        rows_of(
            image_url=["javascript:alert(1)", "www.example/a", "https://cdn.example/" + "x" * 2000],
            rating=["PG-13", "-1", "inf"],
            rating_count=["many", "-1", "4.5"],
        )
    )
    assert drawn.columns == list(COLUMNS)
    assert drawn.null_count().row(0) == (3,) * len(COLUMNS)
    assert columns_of(drawn, {}) == CardColumns()


def test_facts_are_equal_in_any_order_of_rows_and_columns_and_other_ones_with_any_field() -> None:
    fields: dict[str, list[str | None]] = {
        "name": ["A", "B", "C"],
        **{name: ["/1", "/2", None] for name in ("image_url", "url", "brand", "category")},
        **{name: ["1", "2", None] for name in ("rating", "rating_count")},
    }
    rows = rows_of(**fields).with_columns(price_minor=pl.Series([100, None, 300]), shelf_life_days=pl.lit("3"))

    def facts(table: pl.DataFrame) -> str:
        return facts_of(table, drawn_of(table))

    assert facts(rows[::-1].select(sorted(rows.columns))) == facts(rows.with_columns(shelf_life_days=pl.lit("4")))
    moved = {name: rows.with_columns(pl.col(name).shift(1)) for name in ("product_id", "price_minor", *fields)}
    assert len({facts(table) for table in (rows, *moved.values())}) == 1 + len(moved)
