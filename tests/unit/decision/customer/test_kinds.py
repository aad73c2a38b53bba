"""A query's kind follows from what it names."""

from datetime import UTC, datetime

import pytest

from app.decision.customer.kinds import QUESTION_KINDS, kind_of
from app.domain import Line, ProductId, Query

TEA, CAKE = ProductId("tea"), ProductId("cake")


@pytest.mark.parametrize(
    ("basket", "recent", "kind"),
    [
        ((), (), "no_basket"),
        ((Line(TEA),), (), "basket_begun"),
        ((Line(TEA),), (CAKE, TEA), "basket_begun"),
        ((), (TEA,), "product_page"),
        ((), (TEA, CAKE), "session"),
    ],
)
def test_kind_follows_from_basket_and_views(basket: tuple[Line, ...], recent: tuple[ProductId, ...], kind: str) -> None:
    query = Query("app_home", 10, datetime(2026, 10, 1, tzinfo=UTC), basket=basket, recent=recent)
    assert kind_of(query) == kind
    assert kind in QUESTION_KINDS
