"""Which trending lists fit a customer: of their store, else of everybody."""

from app.decision.customer.context import Context
from app.domain import Floats, Ints


def trending_group(context: Context) -> tuple[Ints, Floats]:
    """Items and scores that trend in the customer's store, else in the favourite department, else everywhere."""
    bundle = context.bundle
    # Row 0 is "all" in every bundle.
    row = bundle.group_of.get(context.group, 0)
    count = bundle.trending_count[row]
    return bundle.trending_idx[row, :count], bundle.trending_score[row, :count]
