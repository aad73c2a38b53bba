"""Whether a basket and its situation meet a condition tree, and if not, which leaf speaks against it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.conditions import (
    AllOf,
    AnyOf,
    AtTime,
    BasketTotal,
    Condition,
    Contains,
    InChannel,
    InStore,
    KnownCustomer,
    Not,
    OfTier,
    Weekday,
)
from app.offers.terms.money import exact
from app.offers.terms.reasons import ReasonCode, ReasonValue, Refusal
from app.settings import ProductSelector

_WEEKDAYS: tuple[str, ...] = get_args(Weekday)
_MAX_LISTED = 10


def unmet(condition: Condition, basket: Basket, situation: Situation) -> Refusal | None:
    """Why the condition is not met, None when it is: its first unmet leaf, with a pointer from "/condition" on.

    Of alternatives that all fail it is the first; of a `not` whose condition is met the `not` itself.
    """
    return _unmet(condition, basket, situation, "/condition")


def _unmet(condition: Condition, basket: Basket, situation: Situation, pointer: str) -> Refusal | None:
    match condition:
        case AllOf():
            refusals = _unmet_below(condition, basket, situation, pointer)
            return next((refusal for refusal in refusals if refusal is not None), None)
        case AnyOf():
            refusals = list(_unmet_below(condition, basket, situation, pointer))
            return None if None in refusals else refusals[0]
        case Not():
            if _unmet(condition.of, basket, situation, pointer) is not None:
                return None
            kind = condition.of.type
            return Refusal(ReasonCode.CONDITION_NOT_MET, f"{kind} must not be met", f"not {kind}", kind, pointer)
        case BasketTotal():
            return _total_out_of_bounds(condition, basket.total_minor, pointer)
        case Contains():
            return _contains_too_little(condition, basket, pointer)
        case AtTime():
            return _wrong_time(condition, situation.now_at, pointer)
        case KnownCustomer():
            if situation.customer_id is not None:
                return None
            return Refusal(
                ReasonCode.CONDITION_NOT_MET, "the customer must be known", "customer_id", actual=None, pointer=pointer
            )
        case InChannel():
            return not_among(condition.any_of, situation.channel, pointer, ReasonCode.CHANNEL_NOT_ALLOWED)
        case InStore():
            return not_among(condition.any_of, situation.store_id, pointer, ReasonCode.STORE_NOT_ALLOWED)
        case OfTier():
            return not_among(condition.any_of, situation.tier, pointer, ReasonCode.TIER_NOT_ALLOWED)


def _unmet_below(
    condition: AllOf | AnyOf, basket: Basket, situation: Situation, pointer: str
) -> Iterable[Refusal | None]:
    for position, one in enumerate(condition.of):
        yield _unmet(one, basket, situation, f"{pointer}/of/{position}")


def not_among(allowed: tuple[str, ...], actual: str | None, pointer: str, code: ReasonCode) -> Refusal | None:
    """The refusal unless `actual` is one of those allowed; None, for not given, is none of them."""
    if actual in allowed:
        return None
    what = code.removesuffix("_not_allowed")
    detail = f"the {what} must be given" if actual is None else f"the {what} must be one of those required"
    return Refusal(code, detail, ",".join(allowed), actual, pointer)


def products_in_words(selections: Iterable[ProductSelector]) -> str:
    """The selections in words, products by their ids, others as attribute=value; cut off where there are many."""
    words = [
        word
        for one in selections
        for word in (one.product_ids if one.attribute is None else (f"{one.attribute}={value}" for value in one.values))
    ]
    return ",".join(words if len(words) <= _MAX_LISTED else [*words[:_MAX_LISTED], "…"])


def selected_lines(selections: Sequence[ProductSelector], lines: Sequence[BasketLine]) -> tuple[BasketLine, ...]:
    """Those lines whose product one of the selections names, in their order; selections may list many thousands."""
    by_attribute = [one for one in selections if one.attribute is not None]
    by_id: set[str] = set().union(*(one.product_ids for one in selections if one.attribute is None))
    return tuple(line for line in lines if line.product_id in by_id or any(line.is_in(one) for one in by_attribute))


def _total_out_of_bounds(condition: BasketTotal, total_minor: int, pointer: str) -> Refusal | None:
    if total_minor < condition.least_minor:
        return Refusal(
            ReasonCode.MINIMUM_BASKET_NOT_MET,
            "the basket costs too little",
            condition.least_minor,
            total_minor,
            pointer,
        )
    if condition.at_most_minor is not None and total_minor > condition.at_most_minor:
        return Refusal(
            ReasonCode.CONDITION_NOT_MET, "the basket costs too much", condition.at_most_minor, total_minor, pointer
        )
    return None


def _contains_too_little(condition: Contains, basket: Basket, pointer: str) -> Refusal | None:
    lines = selected_lines(condition.products, basket.lines)
    # Summed as decimals: 0.7 kg and 0.2 kg are the 0.9 kg that somebody wrote down.
    quantity = sum((exact(line.quantity) for line in lines), start=exact(0))
    amount_minor = sum(line.amount_minor for line in lines)
    words = products_in_words(condition.products)
    required: ReasonValue
    if quantity < exact(condition.at_least_quantity):
        detail, required, actual = f"too few of {words}", condition.at_least_quantity, float(quantity)
    elif amount_minor < condition.at_least_minor:
        detail, required, actual = f"too little spent on {words}", condition.at_least_minor, amount_minor
    else:
        return None
    return Refusal(ReasonCode.PRODUCTS_NOT_IN_BASKET, detail, required, actual, pointer)


def _wrong_time(condition: AtTime, now_at: datetime, pointer: str) -> Refusal | None:
    local = now_at.astimezone(ZoneInfo(condition.time_zone))
    start, end = condition.start or time.min, condition.end
    clock, day = local.time(), local.date()
    if end is not None and end < start:
        is_time = clock >= start or clock < end
        # After midnight it is still the night that began the day before.
        day -= timedelta(days=1) if clock < end else timedelta()
    else:
        is_time = clock >= start and (end is None or clock < end)
    weekday = _WEEKDAYS[day.weekday()]
    if is_time and (not condition.weekdays or weekday in condition.weekdays):
        return None
    hours = f"{start:%H:%M}-{'24:00' if end is None else f'{end:%H:%M}'}" if condition.start or end else ""
    required = " ".join(filter(None, (",".join(condition.weekdays), hours, condition.time_zone)))
    actual = f"{_WEEKDAYS[local.weekday()]} {local:%H:%M} {condition.time_zone}"
    return Refusal(ReasonCode.CONDITION_NOT_MET, "not at this time", required, actual, pointer)
