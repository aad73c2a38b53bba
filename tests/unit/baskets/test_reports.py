"""Of a basket that was reported more than once each line counts once."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.baskets.reports import ReportedLine, counted_lines
from app.domain import PURCHASE, REFUND

NOON, LATER = 43_200.0, 43_230.0


def line(event_id: str = "e", product_id: str = "tea", quantity: float = 1.0, **fields: object) -> ReportedLine:
    made = ReportedLine(PURCHASE, product_id, quantity, 200, NOON, "till", event_id)
    return made._replace(**fields)  # type: ignore[arg-type]  # fields of ReportedLine


def report(sender: str, *products: str, event_id: str = "r", quantity: float = 1.0) -> list[ReportedLine]:
    """One event with these products as its items."""
    return [line(event_id, name, quantity, sender=sender, item=item) for item, name in enumerate(products)]


def pieces(*lines: ReportedLine) -> dict[tuple[str, str], float]:
    """What counts, by kind and product: the same in every order and with every line sent twice."""
    found = [_pieces(order) for order in (lines, lines[::-1], [*lines, *lines[::-1]])]
    assert found[0] == found[1]
    return found[0]


def _pieces(lines: object) -> dict[tuple[str, str], float]:
    summed: dict[tuple[str, str], float] = {}
    for one in counted_lines(list(lines), lambda row: row):  # type: ignore[call-overload]  # any iterable of rows
        summed[one.kind, one.product_id] = summed.get((one.kind, one.product_id), 0.0) + one.quantity
    return summed


def bought(**quantities: float) -> dict[tuple[str, str], float]:
    return {(PURCHASE, name): quantity for name, quantity in quantities.items()}


def test_basket_that_till_and_app_report_counts_once() -> None:
    assert pieces(*report("till", "tea", "jam"), *report("app", "tea", "jam")) == bought(tea=1, jam=1)
    assert pieces(*report("till", "tea", event_id="1"), *report("till", "tea", "jam", event_id="2")) == bought(
        tea=1, jam=1
    )


def test_of_each_product_the_report_with_the_most_pieces_counts() -> None:
    till, app = report("till", "tea", "tea", "jam"), report("app", "tea", "oil", quantity=3.0)
    assert pieces(*till, *app) == bought(tea=3, jam=1, oil=3)
    assert pieces(*till, *report("app", "tea")) == bought(tea=2, jam=1)


def test_of_reports_with_as_many_pieces_the_first_by_name_counts() -> None:
    lines = [line(sender="till", amount_minor=200), line(sender="app", amount_minor=150)]
    for order in (lines, lines[::-1]):
        assert [one.sender for one in counted_lines(order, lambda row: row)] == ["app"]


def test_lines_that_one_sender_sends_one_by_one_are_one_report() -> None:
    assert pieces(line("a"), line("b", amount_minor=250), line("c", "jam")) == bought(tea=2, jam=1)
    assert pieces(line("a"), line("b", at=LATER)) == bought(tea=2)
    assert pieces(line("a"), line("b", quantity=2.0)) == bought(tea=3)


def test_two_lines_that_look_alike_are_one_unless_their_ids_are_numbered_or_one_event_holds_both() -> None:
    assert pieces(line("a"), line("b")) == bought(tea=1)
    assert pieces(line("0815:1"), line("0815:2")) == bought(tea=2)
    assert pieces(line("0815:1"), line("0815:2"), line("0816:1"), line("0816:2")) == bought(tea=2)
    assert pieces(*report("till", "tea", "tea")) == bought(tea=2)
    assert pieces(line("a", quantity=2.0)) == bought(tea=2)


def test_events_with_numbered_ids_of_which_one_has_items_are_one_report() -> None:
    first, second = report("till", "tea", "jam", event_id="9:1"), report("till", "tea", event_id="9:2")
    assert pieces(*first, *second) == bought(tea=2, jam=1)


def test_what_came_back_and_is_reported_twice_comes_back_once() -> None:
    back = line("x", kind=REFUND)
    found = pieces(line(quantity=2.0), back, back._replace(sender="app"))
    assert found == {(PURCHASE, "tea"): 2.0, (REFUND, "tea"): 1.0}


def test_one_basket_id_in_two_stores_is_two_baskets() -> None:
    here, there = line(store_id="s1"), line(store_id="s2", sender="app")
    assert pieces(here, there) == bought(tea=2)
    assert pieces(here, there._replace(store_id=None)) == bought(tea=1)
    assert pieces(here, there, line(sender="web")) == bought(tea=2)


SALE = st.lists(
    st.tuples(
        st.sampled_from(["tea", "jam", "oil"]), st.sampled_from([0.25, 1.0, 2.0]), st.sampled_from([None, 100, 250])
    ),
    min_size=1,
    max_size=8,
)


@given(SALE, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_over_two_senders_gives_what_one_report_gives(
    sale: list[tuple[str, float, int | None]], as_items: bool, again_as_items: bool, random: Random
) -> None:
    def sent(sender: str, name: str, *, items: bool) -> list[ReportedLine]:
        return [
            ReportedLine(PURCHASE, product, quantity, amount, NOON, sender, name if items else f"{name}:{place}",
                         place if items else 0)
            for place, (product, quantity, amount) in enumerate(sale)
        ]  # fmt: skip

    one = sent("till", "1", items=as_items)
    every = [
        *one,
        *sent("app", "2", items=again_as_items),
        *sent("app", "3", items=again_as_items),
        *random.sample(one, random.randrange(len(one) + 1)),
    ]
    random.shuffle(every)
    distinct = list({(row.sender, row.event_id, row.item): row for row in every}.values())
    assert _pieces(distinct) == _pieces(one)
