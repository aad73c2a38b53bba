"""Guess what the columns of a file mean by their names, as most systems call them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from app.domain import REFUND
from app.errors import BadInput
from app.imports.columns.currencies import CODES
from app.imports.columns.words import (
    ABOUT_MONEY,
    CHANNELS,
    FLAGS,
    IGNORED,
    KIND_COLUMNS,
    KIND_ENDINGS,
    RATING_COLUMNS,
    YES_OR_NO,
    row_kinds,
    without_missing,
)
from app.imports.mapping.model import ColumnRule, FileForm, Mapping, RowRule
from app.imports.mapping.names import (
    TIMES_OF_DAY,
    TOTALS,
    UNIT_PRICES,
    bare,
    first_named,
    is_of_line,
    named_columns,
    unit,
)
from app.imports.values import text

GUESSED = "guessed"
"""The name of a mapping that nobody wrote."""
CLOCK = r"^\s*\d{1,2}:\d{2}(:\d{2})?\s*([AaPp][Mm])?\s*$"
LIST_OF_PRODUCTS = r" x\d+[|,;].+ x\d+"
OTHER_LISTS = r"^\d+\s?[x×] .+, \d+\s?[x×] |^\[['\"].+, ?['\"].+\]$"
"""2× Mug, 1× Towel, and what Python writes."""
FIRST_ROWS = 1000
RATIO_MAX = 1.0
RATIO_AMOUNT = 10.0
CENT = 0.015
MOST = 0.9


def guess_mapping(
    path: Path, columns: Sequence[str], table: str, sample: pl.DataFrame, *, lists: Sequence[str] = ()
) -> Mapping:
    """The mapping by the names of the columns, and where names mislead by the sample's values.

    `lists` are those whose entries may be a row each. Raises BadInput where a column says that rows may be no
    purchases, and nobody knows which.
    """
    named = named_columns(columns, table) | {
        # A column that is empty throughout says nothing, however well it is named.
        name: source
        for name, source in named_columns([name for name in columns if not _is_empty(sample, name)], table).items()
        if source is not None
    }
    found = {name: source for name, source in named.items() if source is not None}
    rules: dict[str, ColumnRule] = {name: ColumnRule(column=(source,)) for name, source in found.items()}
    notes: list[str] = []
    kinds: tuple[RowRule, ...] = ()
    if table == "transactions":
        _refuse_lists(path, sample, found.get("product_id"))
        _refuse_ratings(path, columns)
        notes += _amounts(path, columns, sample, found, rules)
        _join_times(columns, sample, found, rules)
        if found.get("channel", "channel") != "channel" and not _are_channels(sample, found["channel"]):
            notes.append(f"{found.pop('channel')} is left out: its words are no channels")
            del rules["channel"]
        kinds = tuple(_kinds(columns, sample, {name for rule in rules.values() for name in rule.sources()}))
    plain = [f"{name} is read from {source}" for name, source in found.items() if name != source and name in rules]
    explode = next((name for name in lists if found.get("product_id", "").startswith(f"{name}.")), None)
    form = FileForm(explode=explode)
    return Mapping(mapping=1, name=GUESSED, table=table, columns=rules, rows=kinds, notes=(*plain, *notes), file=form)


def _amounts(
    path: Path, columns: Sequence[str], sample: pl.DataFrame, found: dict[str, str], rules: dict[str, ColumnRule]
) -> Iterator[str]:
    """Sets the rules for money; gives what there is to say of them."""
    price = first_named(columns, UNIT_PRICES, set(found.values()))
    quantity = found.get("quantity")
    amount = found.get("amount")
    discount = found.get("discount")
    if discount is not None and _is_percentage(sample, discount):
        del rules["discount"], found["discount"]
        yield f"{discount} is left out: it is a percentage and not money"
    if amount not in (None, "amount") and _is_of_order(sample, found.get("basket_id"), amount):
        del rules["amount"], found["amount"]
        yield f"{amount} is left out: it is that of the whole order, in each of its lines"
    total = first_named(columns, TOTALS, set(found.values()))
    is_paid = price is not None and quantity is not None and _is_paid(sample, price, quantity, total, discount)
    if "amount" not in found and (price is None or quantity is None or is_paid) and total is not None:
        if _is_of_order(sample, found.get("basket_id"), total):
            yield f"{total} is left out: it is that of the whole order, in each of its lines"
        else:
            found["amount"] = total
            rules["amount"] = ColumnRule(column=(total,))
    if "amount" not in found and price is not None:
        rules["amount"] = ColumnRule(product=((price,), (quantity,))) if quantity else ColumnRule(column=(price,))
        yield f"amount is {price} × {quantity}" if quantity else f"amount is read from {price}"
    elif price is not None and quantity is None and _is_count(sample, found.get("amount")):
        raise BadInput(
            f"{path}: {found['amount']} looks like a number of pieces next to {price}; say in a mapping which of "
            f"them is the money: endcap import --preview {path}"
        )
    if "discount" in found and _is_ratio(sample, found["discount"], found.get("amount")):
        discount = found.pop("discount")
        del rules["discount"]
        yield f"{discount} is left out: all values are between 0 and 1, as of a ratio and not of money"
    currency = unit(found.get("amount") or price or "")
    if "currency" not in found and currency in CODES:
        rules["currency"] = ColumnRule(constant=currency)
        yield f"currency is {currency}, as the name of the amount says"


def _join_times(
    columns: Sequence[str], sample: pl.DataFrame, found: dict[str, str], rules: dict[str, ColumnRule]
) -> None:
    """Joins a date with the time of day that stands next to it."""
    date, clock = found.get("timestamp"), first_named(columns, TIMES_OF_DAY, set(found.values()))
    if date is None or clock is None or {date, clock} - set(sample.columns):
        return
    dates, clocks = (sample[name].cast(pl.String).drop_nulls() for name in (date, clock))
    if clocks.len() and not dates.str.contains(":").any() and clocks.str.contains(CLOCK).all():
        rules["timestamp"] = ColumnRule(join=((date,), (clock,)))
        found["timestamp"] = f"{date} with {clock}"


def _kinds(columns: Sequence[str], sample: pl.DataFrame, taken: set[str]) -> Iterator[RowRule]:
    """Columns that say what a row is: by their name, or by a name like it and words that everybody uses."""
    for name in columns:
        if name in taken:
            continue
        flagged, may_say = FLAGS.get(bare(name)), bare(name).endswith(KIND_ENDINGS) and bare(name) not in ABOUT_MONEY
        if name in KIND_COLUMNS:
            yield RowRule(column=name)
        elif name in sample.columns and (flagged or may_say):
            words = sample[name].cast(pl.String).str.strip_chars().str.to_lowercase().drop_nulls().unique()
            if flagged and words.is_in(list(YES_OR_NO)).all():
                yes = tuple(word for word, said in YES_OR_NO.items() if said == "yes")
                yield RowRule(column=name, kinds={flagged: yes}, otherwise="purchase")
            elif may_say:
                yield from _by_words(name, row_kinds(words, {}))


def _by_words(name: str, kinds: pl.Series) -> Iterator[RowRule]:
    """The rule of a column whose distinct words mean these kinds."""
    most_are_known = 2 * kinds.count() > kinds.len()
    if bare(name) in KIND_ENDINGS and (most_are_known or (kinds.count() and "description" not in bare(name))):
        yield RowRule(column=name)
    elif most_are_known or (bare(name).endswith(("status", "state")) and kinds.is_in([IGNORED, REFUND]).any()):
        # Columns about shipping or payment have other words too, which are nothing against a purchase.
        yield RowRule(column=name, otherwise="purchase")


def _refuse_ratings(path: Path, columns: Sequence[str]) -> None:
    rating = first_named(columns, RATING_COLUMNS, set())
    if rating is not None:
        raise BadInput(
            f"{path}: column {rating!r} says that rows are opinions, and which are as good as a purchase is yours to "
            "say: --mapping ratings takes those of 4 and more, or write a mapping, see docs/mapping.md"
        )


def _refuse_lists(path: Path, sample: pl.DataFrame, product: str | None) -> None:
    """An order in one line is no product that anybody sells."""
    if product is None or product not in sample.columns or not sample.height:
        return
    written = sample[product].cast(pl.String)
    for pattern, remedy in (
        (LIST_OF_PRODUCTS, "--mapping order-lists reads that, or write"),
        (OTHER_LISTS, "export the lines of the orders instead, or write"),
    ):
        several = written.str.contains(pattern)
        if several.any():
            raise BadInput(
                f"{path}: column {product!r} lists several products in one value, as {written.filter(several)[0]}; "
                f"{remedy} a mapping with a split, see docs/mapping.md"
            )


def _are_channels(sample: pl.DataFrame, name: str) -> bool:
    if name not in sample.columns:
        return False
    words = sample[name].cast(pl.String).str.strip_chars().str.to_lowercase().drop_nulls().unique()
    return bool(words.is_in(list(CHANNELS)).all())


def _is_empty(sample: pl.DataFrame, name: str) -> bool:
    if name not in sample.columns or not sample.height:
        return False
    return without_missing(text(sample[name].head(FIRST_ROWS))).count() == 0


def _numbers(sample: pl.DataFrame, name: str) -> pl.Series:
    return (
        sample[name].cast(pl.Float64, strict=False).drop_nulls()
        if name in sample.columns
        else pl.Series([], dtype=pl.Float64)
    )


def _is_count(sample: pl.DataFrame, name: str | None) -> bool:
    if name is None:
        return False
    numbers = _numbers(sample, name)
    return numbers.len() > 0 and bool((numbers == numbers.round()).all()) and bool((numbers.abs() <= 100).all())


def _is_percentage(sample: pl.DataFrame, name: str) -> bool:
    if "%" in name or bare(name).endswith(("percent", "pct", "prozent")):
        return True
    written = sample[name].cast(pl.String).drop_nulls() if name in sample.columns else pl.Series([], dtype=pl.String)
    return bool(written.len() and written.str.contains(r"%\s*$").any())


def _is_paid(sample: pl.DataFrame, price: str, quantity: str, total: str | None, discount: str | None) -> bool:
    """Whether the total is what was paid for the line: price times quantity less the discount, in nearly all rows."""
    if total is None or discount is None or not {price, quantity, total, discount} <= set(sample.columns):
        return False
    names = list(dict.fromkeys((price, quantity, total, discount)))
    plain = pl.col(names).cast(pl.String).str.strip_chars(" %").cast(pl.Float64, strict=False)
    numbers = sample.select(plain).with_columns(pl.col(discount).fill_null(0.0)).drop_nulls()
    full, less = pl.col(price) * pl.col(quantity), pl.col(discount)
    left = (pl.col(total) - (full - less)).abs(), (pl.col(total) - full * (1 - less / 100)).abs()
    is_right = numbers.select(pl.min_horizontal(*left) <= CENT).to_series()
    return bool(is_right.sum() > MOST * is_right.len())


def _is_of_order(sample: pl.DataFrame, basket: str | None, amount: str | None) -> bool:
    """Whether all lines of each basket with several have one amount."""
    if basket is None or amount is None or is_of_line(amount) or {basket, amount} - set(sample.columns):
        return False
    baskets = (
        sample.drop_nulls(basket)
        .group_by(basket)
        .agg(
            # Some write it in the first line alone.
            pl.len().alias("lines"),
            pl.col(amount).drop_nulls().n_unique(),
        )
    )
    several = baskets.filter(pl.col("lines") > 1)
    return several.height > 0 and bool((several[amount] <= 1).all())


def _is_ratio(sample: pl.DataFrame, name: str, amount: str | None) -> bool:
    ratios = _numbers(sample, name)
    if amount is None or not ratios.len() or not ratios.is_between(0, RATIO_MAX).all():
        return False
    discounted = sample.filter(pl.col(name).cast(pl.Float64, strict=False) > 0)
    amounts = _numbers(discounted, amount).median()
    # What takes less than one unit off amounts of ten is no discount that anybody gives.
    return isinstance(amounts, float) and amounts >= RATIO_AMOUNT
