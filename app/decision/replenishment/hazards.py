"""From what a customer bought to how likely each is bought again: one definition for answers and for training; pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.decision.customer.context import Bought
from app.domain import Floats, Ints, Mask
from app.model.replenishment import RebuyModel, term_count

PRODUCT, CATEGORY = "product", "category"

COLUMNS = (
    "count", "weight_28d", "weight_112d", "since", "gap", "product_count",
    "visit_since", "lines_28d", "lines_112d", "owned_count", "repeat_share",
    "usual_gap", "trend", "popularity",
)  # fmt: skip
"""The columns of `rebuy_columns`, of pair, customer and population; docs/replenishment.md explains each."""

MAX_DEVIATION = 4.0
"""Standardized columns end there: squares of what training hardly saw would run away."""

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Who bought what, in parallel columns: `person` and `group` (a product or a category) are codes.

    `count` baskets with each of the group's products, summed; `most` of one of them; days since 1970 (UTC).
    """

    person: Ints
    group: Ints
    count: Floats
    weight_28d: Floats
    weight_112d: Floats
    first_day: Floats
    last_day: Floats
    product_count: Floats
    most: Floats

    def only(self, rows: Mask | npt.NDArray[np.intp]) -> "Pairs":
        """Those rows, in that order."""
        return Pairs(*(getattr(self, name)[rows] for name in Pairs.__slots__))


@dataclass(frozen=True, slots=True)
class People:
    """Per person: decayed purchases of all products, how many products, the share bought again, the last day."""

    lines_28d: Floats
    lines_112d: Floats
    owned_count: Floats
    repeat_share: Floats
    last_day: Floats


def product_pairs(person: Ints, bought: Bought) -> Pairs:
    """Pairs of persons with products."""
    ones = np.ones(len(bought.items), np.float32)
    weights = bought.weight_28d, bought.weight_112d
    return Pairs(person, bought.items, bought.count, *weights, bought.first_day, bought.last_day, ones, bought.count)


def in_groups(products: Pairs, codes: Ints) -> Pairs:
    """The same purchases per person and group: `codes` is the group of each row, -1 leaves it out.

    Rows come out by person, then group.
    """
    kept = products.only(codes >= 0)
    width = int(codes.max(initial=0)) + 1
    # In training persons times groups may pass int32.
    keys, position = np.unique(kept.person.astype(np.int64) * width + codes[codes >= 0], return_inverse=True)
    person, group = np.divmod(keys, width)
    first_day, last_day, most = np.full(len(keys), np.inf, np.float32), *np.zeros((2, len(keys)), np.float32)
    np.minimum.at(first_day, position, kept.first_day)
    np.maximum.at(last_day, position, kept.last_day)
    np.maximum.at(most, position, kept.most)
    return Pairs(
        person.astype(np.int32),
        group.astype(np.int32),
        _summed(position, kept.count, len(keys)),
        _summed(position, kept.weight_28d, len(keys)),
        _summed(position, kept.weight_112d, len(keys)),
        first_day,
        last_day,
        _summed(position, kept.product_count, len(keys)),
        most,
    )


def people_of(products: Pairs, person_count: int) -> People:
    """What all of a person's purchases say; a person without any has zeros."""
    owned = _summed(products.person, products.product_count, person_count)
    again = _summed(products.person, (products.count >= 2).astype(np.float32), person_count)
    last_day = np.zeros(person_count, np.float32)
    np.maximum.at(last_day, products.person, products.last_day)
    return People(
        lines_28d=_summed(products.person, products.weight_28d, person_count),
        lines_112d=_summed(products.person, products.weight_112d, person_count),
        owned_count=owned,
        # Pulled towards a half: one or two products say little of a habit.
        repeat_share=(again + 1) / (owned + 2),
        last_day=last_day,
    )


def _summed(position: npt.NDArray[np.signedinteger], values: Floats, count: int) -> Floats:
    return np.bincount(position, values, count).astype(np.float32)


def has_repeated(pairs: Pairs) -> Mask:
    """True where something of the group was bought twice: one product in two baskets, or on two days."""
    return (pairs.most >= 2) | (pairs.last_day > pairs.first_day)


def rebuy_columns(pairs: Pairs, people: People, habits: Floats, *, now_day: float) -> Floats:
    """One row per pair, one column per name in COLUMNS, float32; `habits` (groups + 1, 3) as HABITS names them.

    `now_day`: days since 1970, with fractions. Amounts are logarithms, so that twice as often counts alike everywhere.
    """
    # The last row is for groups that came after training.
    who, usual = pairs.person, habits[np.minimum(pairs.group, len(habits) - 1)]
    # One usual gap is added to the customer's own: two purchases say little of an interval.
    gap = (pairs.last_day - pairs.first_day + np.exp(usual[:, 0])) / np.maximum(pairs.count, 1)
    today = np.float32(now_day)
    # The 0.01 and 0.1 below keep logarithms finite where all purchases have decayed away.
    columns = (
        np.log(np.maximum(pairs.count, 1)),
        np.log(pairs.weight_28d + 0.01),
        np.log(pairs.weight_112d + 0.01),
        np.log1p(np.maximum(today - pairs.last_day, 0)),
        np.log1p(gap),
        np.log(pairs.product_count),
        np.log1p(np.maximum(today - people.last_day[who], 0)),
        np.log(people.lines_28d[who] + 0.1),
        np.log1p(people.lines_112d[who]),
        np.log1p(people.owned_count[who]),
        people.repeat_share[who],
        usual[:, 0],
        usual[:, 1],
        usual[:, 2],
    )
    return np.stack(columns, axis=1).astype(np.float32, copy=False)


def terms(columns: Floats, mean: Floats, scale: Floats) -> Floats:
    """(n, e): 1, each standardized column, each product of two of them; columns that never vary have scale 0."""
    rows, count = columns.shape
    safe = np.where(scale > 0, scale, 1)
    made = np.empty((rows, term_count(count)), np.float32)
    made[:, 0] = 1
    standard = made[:, 1 : count + 1]
    np.clip((columns - mean) / safe * (scale > 0), -MAX_DEVIATION, MAX_DEVIATION, out=standard)
    end = count + 1
    for column in range(count):
        start, end = end, end + count - column
        np.multiply(standard[:, column:], standard[:, column : column + 1], out=made[:, start:end])
    return made


def daily_hazards(model: RebuyModel, columns: Floats) -> Wide:
    """(n, s): per span the rate per day of buying again, if that has not happened before the span."""
    log_odds = terms(columns, model.mean, model.scale) @ model.weights
    # P = σ(x) within a span of d days is a rate of -ln(1 - σ(x)) / d = softplus(x) / d.
    length = np.diff(model.span_ends_days, prepend=np.float32(0))
    hazards: Wide = np.logaddexp(0, log_odds.astype(np.float64)) / length
    return hazards


def chance_within(hazards: Wide, span_ends_days: Floats, *, days: float) -> Wide:
    """(n,): P(bought again within `days`), which never falls with `days`; the last span's rate holds on after it."""
    starts = np.concatenate([[0], span_ends_days[:-1]])
    ends = np.concatenate([span_ends_days[:-1], [np.inf]])
    # 1 - exp(-x) would lose the digits of a small chance.
    chance: Wide = -np.expm1(-(hazards @ np.clip(days - starts, 0, ends - starts)))
    return chance


def median_wait(hazards: Wide, span_ends_days: Floats) -> Wide:
    """(n,): the days after which buying again has become more likely than not."""
    length = np.diff(span_ends_days, prepend=0)
    reached = np.cumsum(hazards * length, axis=1)
    # The span in which the summed hazard passes ln 2; beyond the last one its rate holds on.
    span = np.minimum((reached < np.log(2)).sum(axis=1), len(length) - 1)
    rows = np.arange(len(hazards))
    rate, before = hazards[rows, span], reached[rows, span] - hazards[rows, span] * length[span]
    wait: Wide = (span_ends_days - length)[span] + (np.log(2) - before) / np.maximum(rate, 1e-12)
    return wait
