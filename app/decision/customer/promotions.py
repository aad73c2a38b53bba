"""What is on promotion for a customer: in the store of the request, else in the one they mostly shop in."""

from dataclasses import dataclass

from app.domain import CustomerFeatures, Floats, Query
from app.model.bundle import Bundle
from app.model.promotions.calendar import InForce, Promoted

WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Promotions:
    """In the customer's store `here` now and a week ago (`before`); `everywhere`: how many stores promote what.

    `lift` (n,): how many times as much of an item is sold on promotion.
    """

    here: Promoted
    before: Promoted
    everywhere: InForce
    lift: Floats


def promotions_for(query: Query, bundle: Bundle, features: CustomerFeatures | None) -> Promotions | None:
    """The promotions at the instant of the query; None where the bundle knows none at all."""
    calendar = bundle.promotions
    if calendar is None:
        return None
    now_s = query.now_at.timestamp()
    store = calendar.store_of.get(query.store_id or _home_store(features))
    now = calendar.at(now_s)
    return Promotions(now.of(store), calendar.at(now_s - WEEK_S).of(store), now, calendar.lift)


def _home_store(features: CustomerFeatures | None) -> str:
    home = features.scalars.get("home_store_id") if features is not None else None
    return home if isinstance(home, str) else ""
