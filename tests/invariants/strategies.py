"""What histories are made of: campaigns, offers and baskets to choose from."""

from datetime import timedelta

from hypothesis import strategies as st

from app.offers.terms.basket import BasketLine
from app.offers.terms.terms import Amount, CampaignTerms, FixedPrice, Limit, OfferTerms, Percent, Points
from app.settings import ProductSelector
from tests.support.tills import START

CUSTOMERS = ("ada", "bob")
OWNER = "the first coupon's"
P1 = (ProductSelector(product_ids=("p1",)),)


def _amount(minor: int) -> Amount:
    return Amount(type="amount", amount_minor=minor)


OFFERS = (
    OfferTerms(name="500 off", discount=_amount(500), combinable=True),
    OfferTerms(name="10 %", discount=Percent(type="percent", percent=10), combinable=True),
    OfferTerms(name="33.33 %, 400 at most", discount=Percent(type="percent", percent=33.33, max_discount_minor=400)),
    OfferTerms(name="250 off, one of g", discount=_amount(250), combinable=True, group="g", uses_per_code=3),
    OfferTerms(
        name="301 off, one of g", discount=_amount(301), combinable=True, group="g", valid_days=1, uses_per_code=2
    ),
    OfferTerms(
        name="p1 for 99", applies_to=P1, combinable=True, discount=FixedPrice(type="fixed_price", price_minor=99)
    ),
    OfferTerms(name="120 off, reserved", discount=_amount(120), combinable=True, reservation_required=True),
    OfferTerms(name="199 off, anybody", discount=_amount(199), combinable=True, uses_per_code=None),
    OfferTerms(name="700 off from 2000", discount=_amount(700), minimum_basket_minor=2000, uses_per_code=2),
    OfferTerms(
        name="points that cost", combinable=True,
        discount=Points(type="points", points=7, points_per_major=2, point_cost_minor=3),
    ),
    OfferTerms(name="points for nothing", discount=Points(type="points", points=50), combinable=True),
)  # fmt: skip

LIMITS: tuple[tuple[Limit, ...], ...] = (
    (),
    (),
    (Limit(scope="code", count=1, period="day"), Limit(scope="code", count=2)),
    (Limit(scope="customer", count=2, period="day"), Limit(scope="customer", count=3)),
    (Limit(scope="campaign", count=2, period="day"), Limit(scope="campaign", count=4)),
    (Limit(scope="code", count=2), Limit(scope="customer", count=2), Limit(scope="campaign", count=3, period="day")),
)

campaign_terms = st.builds(
    CampaignTerms,
    name=st.just("Campaign"),
    currency=st.just("EUR"),
    budget_minor=st.sampled_from((None, 600, 2500, 20_000)),
    ends_at=st.sampled_from((None, START + timedelta(days=9))),
    time_zone=st.sampled_from(("UTC", "Europe/Berlin", "Pacific/Auckland")),
    limits=st.sampled_from(LIMITS),
)
offers = st.lists(st.sampled_from(OFFERS), min_size=1, max_size=4)

_pieces = st.tuples(
    st.sampled_from(("p0", "p1", "p2")), st.sampled_from((1.0, 2.0, 3.0, 0.3, 1.5)), st.integers(1, 3000)
)
baskets = st.lists(_pieces, min_size=1, max_size=3, unique_by=lambda piece: piece[0]).map(
    lambda pieces: tuple(BasketLine(product_id, product_id, quantity, minor) for product_id, quantity, minor in pieces)
)

_pick = st.integers(0, 11)
_codes = st.lists(_pick, min_size=1, max_size=3)
_whose = st.sampled_from((OWNER, OWNER, OWNER, *CUSTOMERS, None))
_customer = st.sampled_from(CUSTOMERS)
_part = st.tuples(_pick, st.sampled_from((None, 1.0, 0.1, 0.2, 0.5)))
_late = st.integers(0, 100)
_seldom = {
    "pay": (st.lists(_pick, max_size=3), _whose, st.booleans(), baskets, st.none() | _pick, st.none() | _pick),
    "give_up": (_pick,),
    "return_redemption": (_pick, st.none() | st.lists(_part, max_size=3)),
    "send_another_body": (_late,),
    "revoke_coupon": (_pick,),
    "act": (_pick, st.sampled_from(("pause", "resume", "resume", "end", "reopen"))),
}
_often = {
    "issue_coupon": (_pick, st.sampled_from((*CUSTOMERS, None))),
    "change_offer_terms": (_pick, st.sampled_from(OFFERS)),
    "let_time_pass": (st.sampled_from((0.05, 0.2, 1, 9, 30)),),
    "pay": (_codes, _whose, st.booleans(), baskets, st.none(), st.none() | _pick),
    "pay_with_all_of_the_wallet": (_customer, baskets),
    "pay_with_what_is_held": (_pick, baskets),
    "pay_and_return": (_codes, baskets),
    "hold": (_codes, _whose, st.booleans(), baskets, st.sampled_from((2, 15, 120, 4000))),
    "sweep": (),
    "return_redemption": (_pick, st.lists(_part, min_size=1, max_size=2)),
    "send_again": (_late, st.integers(1, 5)),
    "change_budget": (_pick, st.sampled_from((-1, 0, 1, 350, 5000))),
}
steps = st.one_of(
    *(st.tuples(st.just(name), *given) for some in (_often, _often, _seldom) for name, given in some.items())
)
"""What may happen, the frequent twice as often. Drawn in one rule: of many, Hypothesis leaves half out of a run."""
