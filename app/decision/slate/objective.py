"""What a candidate is worth to the store: probability times price or margin, where that is the objective."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.decision.customer.context import Context
from app.decision.customer.place import currency_of_place
from app.domain import Ints, Mask, Objective

Wide = npt.NDArray[np.float64]
WORTH_NAMES = {Objective.REVENUE: "price_minor", Objective.MARGIN: "margin_minor"}


@dataclass(frozen=True, slots=True)
class Worth:
    """Of each of n products what one sold piece brings in, in minor units, and where that is known."""

    minor: npt.NDArray[np.int64]
    is_known: Mask


def worth_of(context: Context, items: Ints, price: npt.NDArray[np.int64]) -> Worth:
    """The margin where that is the objective (price - unit cost, may be negative), else the price (n,), -1 unknown.

    What products cost the retailer is not known in the currency of a store that has one of its own.
    """
    policy = context.query.policy
    if policy is None or policy.objective != Objective.MARGIN:
        return Worth(price, price >= 0)
    cost = context.bundle.catalogue.unit_cost_minor[items]
    return Worth(price - cost, (price >= 0) & (cost >= 0) & (currency_of_place(context) is None))


def each_minor(worth: Worth) -> Wide | None:
    """The worth, the median of the candidates' where it is unknown; None where none is known."""
    if not worth.is_known.any():
        return None
    filled: Wide = np.where(worth.is_known, worth.minor, np.median(worth.minor[worth.is_known]))
    return filled
