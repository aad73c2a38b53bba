"""What may be wrong with till lines that are sound one by one: looked for over the whole file, said in its report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.history.rows import AMOUNT_MINOR, BASKET_ID, CURRENCY, CUSTOMER_ID, PRODUCT_ID, QUANTITY, STORE_ID, TIME, TYPE
from app.model.goods.charges import WHOLE

Query = Callable[[str], list[tuple[object, ...]]]
"""Gives the rows of a query of the relations `staged` and `repeated`."""

MISSING_SHARE = 0.2
CUSTOMER_SHARE = 0.05
ROWS_MIN = 100
"""In a file of fewer rows shares say nothing."""
OLDEST_YEAR = 1990
"""Before it nobody kept till lines: such dates stand for none."""
NOBODY = ("0", "-1", "unknown")
"""Ids that databases give to a customer who did not say who they are; in some they are somebody."""
FORM = r"regexp_replace(ltrim(lower({}), '0'), '[^\p{{L}}\p{{N}}]', '', 'g')"
"""An id without what people write in one way or another."""
COLUMNS = {CUSTOMER_ID: "customer", TIME: "time", AMOUNT_MINOR: "amount", STORE_ID: "store", BASKET_ID: "basket"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file without looking at its rows: the columns it has, and whether one says what a row is."""

    columns: tuple[str, ...]
    has_kinds: bool


def warnings(query: Query, facts: Facts) -> list[str]:
    """What a person should look at, one line each."""
    (rows,) = query("select count(*) from staged")[0]
    if not rows:
        return []
    found = [
        *_kinds(query, facts),
        *_nobody(query),
        *_ids(query),
        *_fees(query),
        *_baskets(query),
        *_money(query),
        *_times(query),
    ]
    if int(str(rows)) >= ROWS_MIN:
        found += [*_missing(query, facts, int(str(rows))), *_one_customer(query, int(str(rows)))]
    return found


def _kinds(query: Query, facts: Facts) -> Iterator[str]:
    purchases = query(f"select count(*) from staged where {TYPE} = 'purchase'")[0][0]
    if not facts.has_kinds and purchases:
        yield f"all {purchases:,} rows are taken as purchases: no column says otherwise"


def _nobody(query: Query) -> Iterator[str]:
    listed = ", ".join(f"'{name}'" for name in NOBODY)
    for name, baskets in query(
        f"select {CUSTOMER_ID}, count(distinct {BASKET_ID}) from staged where lower({CUSTOMER_ID}) in ({listed}) "
        f"group by 1 having count(distinct {BASKET_ID}) > 1 order by 1"
    ):
        yield f"customer {name!r} has {baskets:,} baskets: if that is nobody, say so with `missing` in a mapping"


def _ids(query: Query) -> Iterator[str]:
    for column, what in ((CUSTOMER_ID, "customers"), (PRODUCT_ID, "products")):
        form = FORM.format(column)
        ids = f"(select distinct {column} from staged where {column} is not null)"
        alike = (
            f"select min({column}), max({column}) from {ids} where {form} != '' "
            f"group by {form} having count(*) > 1 order by 1"
        )
        found = query(alike)
        if found:
            one, other = found[0]
            yield f"{len(found):,} {what} differ from others by the form of their ids only, as {one!r} and {other!r}"


def _fees(query: Query) -> Iterator[str]:
    listed = ", ".join(f"'{word}'" for word in WHOLE)
    found = query(
        f"select {PRODUCT_ID}, count(*) from staged where lower({PRODUCT_ID}) in ({listed}) "
        "group by 1 order by 2 desc, 1"
    )
    if found:
        names = ", ".join(str(name) for name, _ in found[:5])
        yield f"{names} look like fees and not like products: mark them as recommendable = no in the product table"


def _baskets(query: Query) -> Iterator[str]:
    several = query(
        f"select count(*) from (select {BASKET_ID} from staged where {BASKET_ID} is not null group by 1 "
        f"having min({STORE_ID}) != max({STORE_ID}) or min({CUSTOMER_ID}) != max({CUSTOMER_ID}))"
    )[0][0]
    if several:
        yield f"{several:,} basket ids are those of several stores or customers: join store and receipt in a mapping"
    # Which the numbering of rows has found.
    equal = query("select count(*) from repeated where occurrence > 0")[0][0]
    if equal:
        yield f"{equal:,} rows are equal to another one of the file: they are kept as units of their own"


def _money(query: Query) -> Iterator[str]:
    currencies = query(
        f"select {CURRENCY}, count(*) from staged where {CURRENCY} is not null group by 1 order by 2 desc, 1"
    )
    if len(currencies) > 1:
        listed = ", ".join(f"{count:,} in {currency}" for currency, count in currencies)
        yield f"several currencies, kept apart: {listed}; features count amounts in the most frequent one"
    bought, refunded, largest = query(
        f"select coalesce(sum({AMOUNT_MINOR}) filter ({TYPE} = 'purchase'), 0), "
        f"coalesce(sum({AMOUNT_MINOR}) filter ({TYPE} = 'refund'), 0), coalesce(max({AMOUNT_MINOR}), 0) from staged"
    )[0]
    total, back, most = (int(str(value)) for value in (bought, refunded, largest))
    if back > total:
        yield "more money was refunded than paid: are signs the other way round?"
    (rows,) = query(f"select count(*) from staged where {AMOUNT_MINOR} > 0")[0]
    if int(str(rows)) >= ROWS_MIN and 2 * most > total:
        yield "one row has over half of all the money: is it a sum?"
    voided = query(f"select count(*) from staged where {QUANTITY} = 0")[0][0]
    if voided:
        yield f"{voided:,} rows have no quantity: they count as voided"


def _times(query: Query) -> Iterator[str]:
    old = query(f"select count(*) from staged where year({TIME}) < {OLDEST_YEAR}")[0][0]
    if old:
        yield f"{old:,} rows are from before {OLDEST_YEAR}: such dates often stand for none"


def _missing(query: Query, facts: Facts, rows: int) -> Iterator[str]:
    for column, what in COLUMNS.items():
        if what not in facts.columns:
            continue
        absent = int(str(query(f"select count(*) from staged where {column} is null")[0][0]))
        if absent >= MISSING_SHARE * rows:
            yield f"{absent / rows:.0%} of the rows have no {what}"


def _one_customer(query: Query, rows: int) -> Iterator[str]:
    most = query(
        f"select {CUSTOMER_ID}, count(*) from staged where {CUSTOMER_ID} is not null "
        "group by 1 order by 2 desc, 1 limit 1"
    )
    if most and int(str(most[0][1])) >= CUSTOMER_SHARE * rows:
        share = int(str(most[0][1])) / rows
        yield f"customer {most[0][0]!r} has {share:.0%} of all rows: is it everybody who did not say who they are?"
