"""What the product table says of products for front ends: the columns of their cards, and a hash of all that shows."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import polars as pl

from app.bounds import LINK_LENGTH, LINK_START, RATING_COUNT_MAX
from app.model.goods.cards import ADDRESSES, COLUMNS, GROUPS, RATINGS, UNKNOWN, CardColumns, Groups, Texts, texts_of

SEPARATORS = "\x1e", b"\x1d"
SHARED_BY = 8
"""The beginnings of more hosts would be as long as what they save."""


def drawn_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of the cards for these rows of the product table, null where it has none.

    What it kept from before these columns had a form, such as a rating in words, is null as well.
    """
    text = {name: pl.col(name).cast(pl.String) for name in rows.columns}
    read = {name: text[name] for name in GROUPS if name in text}
    for name in ADDRESSES:
        if name in text:
            # Spaces and quotes of before the check are no harm to pages that escape them; a script would be.
            is_sound = text[name].str.contains(LINK_START) & (text[name].str.len_chars() <= LINK_LENGTH)
            read[name] = pl.when(is_sound).then(text[name])
    if "rating" in text:
        rating = text["rating"].cast(pl.Float64, strict=False)
        read["rating"] = pl.when(rating.is_finite() & (rating >= 0)).then(rating)
    if "rating_count" in text:
        count = text["rating_count"].cast(pl.Int64, strict=False)
        read["rating_count"] = pl.when(count.is_between(0, RATING_COUNT_MAX)).then(count)
    return rows.with_columns(read.get(name, pl.lit(None, pl.String)).alias(name) for name in COLUMNS).select(COLUMNS)


def facts_of(rows: pl.DataFrame, drawn: pl.DataFrame) -> str:
    """A hash of what shows of the products: id, name, price and `drawn`; equal in whatever order they come.

    Prices in another currency are null or -1 already.
    """
    read = {"product_id": pl.col("product_id"), "name": pl.lit(None), "price_minor": pl.lit(None)}
    read |= {name: pl.col(name) for name in read if name in rows.columns}
    read["price_minor"] = read["price_minor"].cast(pl.Int64).fill_null(UNKNOWN)
    shown = rows.select(column.cast(pl.String).alias(name) for name, column in read.items()).hstack(drawn)
    facts = sha256()
    between, behind = SEPARATORS
    # One column after the other: all in one text would be 20 MB for a moment.
    for column in shown.sort("product_id"):
        if column.count():
            facts.update(column.cast(pl.String).fill_null("").str.join(between).cast(pl.Binary).item())
        facts.update(behind)
    return facts.hexdigest()


def columns_of(drawn: pl.DataFrame, groups: Mapping[str, Groups]) -> CardColumns:
    """The same columns in few bytes; brand and category are those of `groups`."""
    there = {name for name in drawn.columns if drawn[name].count()}
    columns: dict[str, Any] = {name: groups[name] for name in GROUPS if name in groups}
    columns |= {name: packed(drawn[name]) for name in ADDRESSES if name in there}
    for name, kind in RATINGS.items():
        if name in there:
            columns[name] = drawn[name].fill_null(UNKNOWN).to_numpy().astype(kind)
    return CardColumns(**columns)


def packed(texts: pl.Series) -> Texts:
    """The texts in few bytes."""
    text, host = pl.col("text"), pl.col("host")
    is_shared = pl.len().over("host") >= SHARED_BY
    named = _with_hosts(texts).with_columns(pl.when(is_shared).then(host).otherwise(pl.lit("")).alias("host"))
    hosts = (
        named.drop_nulls("text").group_by("host").agg(text.min().alias("first"), text.max().alias("last")).sort("host")
    )
    heads = [_beginning(first, last) for _, first, last in hosts.rows()]
    known = hosts.select("host", head=pl.int_range(pl.len()), length=pl.Series([len(head) for head in heads]))
    parted = named.join(known, on="host", how="left", maintain_order="left").select(
        pl.when(text.is_null()).then(UNKNOWN).otherwise("head").cast(pl.Int32).alias("head"),
        text.str.slice(pl.col("length")).fill_null("").alias("rest"),
    )
    rests = parted["rest"]
    content: bytes = rests.str.join("").cast(pl.Binary).item()
    return texts_of(heads, parted["head"].to_numpy(), rests.str.len_bytes().to_numpy(), content)


def _with_hosts(texts: pl.Series) -> pl.DataFrame:
    """The texts, each next to its host: empty for paths, and where all are of one."""
    shared = _beginning(str(texts.min()), str(texts.max()))
    is_of_one = "/" in shared[len("https://") :]
    host = pl.lit("") if is_of_one else pl.col("text").str.extract("^([A-Za-z]+://[^/]+/)").fill_null("")
    return pl.DataFrame({"text": texts}).with_columns(host.alias("host"))


def _beginning(first: str, last: str) -> str:
    """How both begin, and all that is between them in order."""
    differing = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differing, len(first))]
