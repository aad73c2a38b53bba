"""How much is left of the limits and budgets that a quote's coupons take from."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from app.offers.rules.combination import Capacity
from app.offers.terms.periods import period_key
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.records import Campaign, Coupon
from app.stores.sql.database.tables import counters
from app.stores.sql.redemption.claims import CounterKey
from app.stores.sql.redemption.freed import FreedUses

Limits = Mapping[str, Sequence[tuple[CounterKey, int]]]
"""By coupon id the counters that its use counts in, each with its limit."""


def counter_limits(
    coupon: Coupon, campaign: Campaign, freed: FreedUses, *, customer_id: str, now: datetime
) -> list[tuple[CounterKey, int]]:
    """The counters that a use of the coupon counts in, each with its limit; of a reserved one those it is in now.

    `customer_id` is the one that stands for all of the customer's.
    """
    subjects = {"code": coupon.coupon_id, "customer": customer_id, "campaign": ""}
    terms = campaign.terms
    limits = {
        CounterKey(
            campaign.campaign_id,
            limit.scope,
            subjects[limit.scope],
            period_key(limit.period, now, terms.time_zone),
        ): limit.count
        for limit in terms.limits
    }
    keys = freed.held_counters.get(coupon.coupon_id, limits.keys())
    return [(key, limits.get(key, 0)) for key in keys]


def used_of(connection: Connection, limits: Limits, freed: FreedUses) -> dict[CounterKey, int]:
    """How much these counters count, what may be counted as free left out."""
    used = _used(connection, {key for keys in limits.values() for key, _ in keys})
    return {key: count - freed.counted.get(key, 0) for key, count in used.items()}


def kept_limits(limits: Limits, used: Mapping[CounterKey, int], freed: FreedUses) -> Limits:
    """The same, each with room at least for what the caller's own reservation holds of it."""
    return {
        coupon_id: [
            (key, max(limit, used[key] + freed.held[key]) if key in freed.held else limit) for key, limit in keys
        ]
        for coupon_id, keys in limits.items()
    }


def capacity_key(key: CounterKey) -> str:
    """The name by which a combination knows this counter."""
    return "|".join((key.campaign_id, key.scope, key.subject, key.period))


_LIMIT_CODES = {
    "code": ReasonCode.CODE_LIMIT_REACHED,
    "customer": ReasonCode.CUSTOMER_LIMIT_REACHED,
    "campaign": ReasonCode.CAMPAIGN_LIMIT_REACHED,
}


def remaining_capacities(
    limits: Limits, used: Mapping[CounterKey, int], campaigns: Mapping[str, Campaign], freed: FreedUses
) -> dict[str, Capacity]:
    """What is left of every limit and budget that the candidates touch."""
    capacities: dict[str, Capacity] = {}
    for keys in limits.values():
        for key, limit in keys:
            count = used[key]
            refusal = Refusal(
                _LIMIT_CODES[key.scope], f"at most {limit} per {key.scope}, period {key.period}", limit, count
            )
            capacities[capacity_key(key)] = Capacity(limit - count, refusal)
    for campaign in campaigns.values():
        remaining_minor = campaign.remaining_minor
        if remaining_minor is not None:
            left = remaining_minor + freed.money.get(campaign.campaign_id, 0)
            refusal = Refusal(ReasonCode.BUDGET_EXHAUSTED, "the campaign's budget does not cover it", actual=left)
            capacities[f"budget:{campaign.campaign_id}"] = Capacity(left, refusal)
    return capacities


def _used(connection: Connection, keys: set[CounterKey]) -> dict[CounterKey, int]:
    if not keys:
        return {}
    # One query for all: it may also match other combinations of these values, which the last line leaves out.
    query = select(counters).where(
        counters.c.campaign_id.in_({key.campaign_id for key in keys}),
        counters.c.subject.in_({key.subject for key in keys}),
        counters.c.period.in_({key.period for key in keys}),
    )
    rows = connection.execute(query).mappings()
    found = {CounterKey(row["campaign_id"], row["scope"], row["subject"], row["period"]): row["used"] for row in rows}
    return {key: found.get(key, 0) for key in keys}
