"""Which lines of a receipt count, what is left of it after refunds, and whether it came in on its own day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import PURCHASE, REFUND, Event, ProductId
from app.offers.rules.receipts import ReceiptCheck, ReceiptLine, check_receipt, is_in_time, receipt_line, receipt_of
from app.offers.terms.terms import ByReceipt

BERLIN = "Europe/Berlin"
NOON = datetime(2026, 11, 21, 11, tzinfo=UTC)
ABOVE_50 = {"type": "basket_total", "above_minor": 5000}
NONE, BOTH, BEFORE = ReceiptCheck(False, False), ReceiptCheck(True, True), ReceiptCheck(True, False)


def receipt_terms(condition: object = ABOVE_50, **fields: object) -> ByReceipt:
    return ByReceipt.model_validate({"by": "receipt", "condition": condition} | fields)


def line(amount_minor: int, event_id: str = "e", product_id: str = "p", **fields: object) -> ReceiptLine:
    made = ReceiptLine(
        receipt_id="r",
        event_id=event_id,
        kind=PURCHASE,
        product_id=product_id,
        quantity=1.0,
        amount_minor=amount_minor,
        currency="EUR",
        customer_id="ann",
        channel="store",
        store_id="s1",
        occurred_at=NOON,
        accepted_at=NOON + timedelta(seconds=3),
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of ReceiptLine


def refund(amount_minor: int, event_id: str = "back", product_id: str = "p", **fields: object) -> ReceiptLine:
    later = {"occurred_at": NOON + timedelta(days=1), "accepted_at": NOON + timedelta(days=1, seconds=3)}
    return line(-amount_minor, event_id, product_id, kind=REFUND, customer_id=None, **(later | fields))


def checked(lines: Sequence[ReceiptLine], of: ByReceipt | None = None, *, tier: str | None = None) -> ReceiptCheck:
    receipt = receipt_of(lines, {"p": {"brand": "acme"}})
    assert receipt is not None
    return check_receipt(receipt, of or receipt_terms(), tier=tier, time_zone=BERLIN)


def total_minor(lines: Sequence[ReceiptLine]) -> int:
    """The total that counts for the receipt, found by bisection."""
    low, high = -1, 10**7
    while high - low > 1:
        middle = (low + high) // 2
        enough = checked(lines, receipt_terms({"type": "basket_total", "at_least_minor": middle})).met_now
        low, high = (middle, high) if enough else (low, middle)
    return low


def event(**fields: object) -> Event:
    made = Event("e", PURCHASE, NOON, customer_id="ann", product_id=ProductId("p"), basket_id="r", amount_minor=5001)
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of Event


def test_purchase_becomes_a_line() -> None:
    made = receipt_line(event(channel="store", store_id="s1"), accepted_at=NOON, default_currency="EUR")
    assert made == line(5001, event().key, accepted_at=NOON)


@pytest.mark.parametrize("amount_minor", [300, -300])
def test_refund_counts_negative_whatever_its_sign(amount_minor: int) -> None:
    sent = event(type=REFUND, customer_id=None, anonymous_id="till", amount_minor=amount_minor, currency="CHF")
    made = receipt_line(sent, accepted_at=NOON, default_currency="EUR")
    assert made is not None
    assert (made.amount_minor, made.currency, made.customer_id) == (-300, "CHF", None)


@pytest.mark.parametrize(
    "fields", [{"type": "view_item"}, {"basket_id": None}, {"product_id": None}, {"customer_id": None}]
)
def test_what_is_on_no_receipt_of_a_customer_is_no_line(fields: dict[str, object]) -> None:
    assert receipt_line(event(**fields), accepted_at=NOON, default_currency="EUR") is None


@pytest.mark.parametrize(("amount_minor", "expected"), [(4999, NONE), (5000, NONE), (5001, BOTH), (0, NONE)])
def test_receipt_must_lie_above_the_line(amount_minor: int, expected: ReceiptCheck) -> None:
    assert checked([line(amount_minor)]) == expected
    assert checked([line(amount_minor - 10, "e"), line(10, "e:1", "q")]) == expected


def test_refund_takes_the_receipt_below_the_line() -> None:
    assert checked([line(5001), refund(1)]) == BEFORE
    assert checked([line(5002), refund(1)]) == BOTH
    assert checked([line(5000), refund(1)]) == NONE
    assert receipt_of([refund(1)], {}) is None


def test_refund_of_something_else_and_a_rebate_come_off_the_total() -> None:
    assert total_minor([line(5001), refund(100, product_id="deposit")]) == 4901
    assert total_minor([line(3000), line(2001, "e:1", "q"), line(-100, "e:2", "rebate")]) == 4901
    assert total_minor([line(100), refund(9000)]) == 0


def test_one_event_per_line_counts_each_line() -> None:
    lines = [line(2000, "a", "p"), line(2000, "b", "q"), line(1001, "c", "p")]
    assert total_minor(lines) == 5001


def test_receipt_sent_again_under_other_ids_counts_once() -> None:
    sale = [line(2000, "x", "p"), line(2000, "x:1", "p"), line(1000, "x:2", "q")]
    again = [replace(one, event_id=one.event_id.replace("x", "y")) for one in sale]
    assert total_minor(sale) == total_minor(sale + again) == 5000
    singles = [line(2000, "k1", "p"), line(3000, "k2", "q")]
    assert total_minor([*singles, line(2000, "k3", "p"), line(3000, "k4", "q")]) == 5000


def test_equal_lines_count_each_where_one_sending_tells_them() -> None:
    assert total_minor([line(2000, "x"), line(2000, "x:1"), line(2000, "x:2")]) == 6000
    assert total_minor([line(2000, "till-7:1"), line(2000, "till-7:2")]) == 4000
    assert total_minor([line(2000, "uuid-a"), line(2000, "uuid-b")]) == 2000


def test_pieces_that_come_back_on_two_days_count_twice_and_a_repeat_once() -> None:
    first = refund(1000, "back-1")
    second = refund(1000, "back-2", occurred_at=NOON + timedelta(days=2))
    assert total_minor([line(5001), first, second]) == 3001
    assert total_minor([line(5001), first, replace(first, event_id="back-3")]) == 4001


def test_first_purchase_sets_customer_and_currency() -> None:
    later = NOON + timedelta(minutes=1)
    assert total_minor([line(2000), line(2000, "f", customer_id="bob", accepted_at=later)]) == 2000
    assert total_minor([line(2000), line(2000, "f", currency="CHF", accepted_at=later)]) == 2000
    receipt = receipt_of([line(1, "f", customer_id="bob", accepted_at=later), line(1)], {})
    assert receipt is not None
    assert receipt.customer_id == "ann"


@given(st.integers(0, 2**32))
def test_order_of_lines_does_not_matter(seed: int) -> None:
    chance = Random(seed)
    lines = [
        replace(
            chance.choice([line, refund])(chance.choice([100, 2500]), f"{chance.choice('xyz')}:{number}"),
            product_id=chance.choice("pq"),
            accepted_at=NOON + timedelta(minutes=chance.randrange(3)),
        )
        for number in range(chance.randrange(1, 9))
    ]
    lines.append(line(2000, "first"))
    shuffled = chance.sample(lines, len(lines))
    assert receipt_of(lines, {}) == receipt_of(shuffled, {})


def test_condition_sees_products_and_who_bought_where_and_when() -> None:
    lines = [line(3000), line(3000, "e:1", "q")]
    for condition, expected in (
        ({"type": "contains", "products": [{"attribute": "brand", "values": ["acme"]}], "at_least_minor": 3000}, BOTH),
        ({"type": "contains", "products": [{"attribute": "brand", "values": ["acme"]}], "at_least_minor": 3001}, NONE),
        ({"type": "store", "any_of": ["s1"]}, BOTH),
        ({"type": "channel", "any_of": ["web"]}, NONE),
        ({"type": "tier", "any_of": ["gold"]}, BOTH),
        ({"type": "time", "time_zone": BERLIN, "weekdays": ["sat"], "start": "11:59", "end": "12:01"}, BOTH),
    ):
        assert checked(lines, receipt_terms(condition), tier="gold") == expected
    everything = {"type": "contains", "products": [{"product_ids": ["q"]}], "at_least_quantity": 1}
    assert checked([*lines, refund(3000, product_id="q")], receipt_terms(everything)) == BEFORE


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("bought", "accepted", "grace_minutes", "zone", "expected"),
    [
        # An ordinary day.
        ("2026-11-21T23:59:59+01:00", "2026-11-21T23:59:59.999+01:00", 0, BERLIN, True),
        ("2026-11-21T23:59:59+01:00", "2026-11-22T00:00:00+01:00", 0, BERLIN, False),
        ("2026-11-21T23:59:59+01:00", "2026-11-22T00:00:00+01:00", 1, BERLIN, True),
        ("2026-11-21T23:59:59+01:00", "2026-11-22T00:15:00+01:00", 15, BERLIN, True),
        ("2026-11-21T23:59:59+01:00", "2026-11-22T00:15:00.001+01:00", 15, BERLIN, False),
        ("2026-11-21T00:00:00+01:00", "2026-11-22T00:15:00+01:00", 15, BERLIN, True),
        ("2026-11-22T00:00:00+01:00", "2026-11-21T23:59:00+01:00", 60, BERLIN, False),
        ("2026-11-21T12:00:00+01:00", "2026-11-23T00:00:00+01:00", 1440, BERLIN, True),
        # Clocks forward on 2027-03-28: 02:00 becomes 03:00, the day has 23 hours.
        ("2027-03-28T00:00:00+01:00", "2027-03-28T23:59:59+02:00", 0, BERLIN, True),
        ("2027-03-28T01:59:59+01:00", "2027-03-28T03:00:00+02:00", 0, BERLIN, True),
        ("2027-03-27T23:30:00+01:00", "2027-03-28T00:00:01+01:00", 0, BERLIN, False),
        ("2027-03-28T22:30:00+02:00", "2027-03-29T00:00:01+02:00", 0, BERLIN, False),
        ("2027-03-28T22:30:00+02:00", "2027-03-28T22:30:01+00:00", 0, BERLIN, False),
        ("2027-03-27T23:30:00+01:00", "2027-03-28T03:00:00+02:00", 120, BERLIN, True),
        ("2027-03-27T23:30:00+01:00", "2027-03-28T03:00:01+02:00", 120, BERLIN, False),
        # Clocks back on 2026-10-25: 03:00 becomes 02:00, the day has 25 hours.
        ("2026-10-25T00:00:00+02:00", "2026-10-25T23:59:59+01:00", 0, BERLIN, True),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", 0, BERLIN, True),
        ("2026-10-25T23:30:00+01:00", "2026-10-25T22:59:59+00:00", 0, BERLIN, True),
        ("2026-10-25T23:30:00+01:00", "2026-10-25T23:00:01+00:00", 0, BERLIN, False),
        ("2026-10-24T23:30:00+02:00", "2026-10-25T00:00:01+02:00", 0, BERLIN, False),
        ("2026-10-24T23:30:00+02:00", "2026-10-25T02:00:00+01:00", 180, BERLIN, True),
        ("2026-10-24T23:30:00+02:00", "2026-10-25T02:00:01+01:00", 180, BERLIN, False),
        # The same instants where the store is elsewhere.
        ("2026-11-21T23:30:00+01:00", "2026-11-22T00:30:00+01:00", 0, "Europe/London", True),
        ("2026-11-21T23:30:00+01:00", "2026-11-22T01:00:01+01:00", 0, "Europe/London", False),
        ("2026-11-21T23:30:00+01:00", "2026-11-22T14:00:00+00:00", 0, "Asia/Tokyo", True),
        ("2026-11-21T14:30:00+00:00", "2026-11-21T15:30:00+00:00", 0, "Asia/Tokyo", False),
        # A zone whose clocks go forward at midnight: the day begins at 01:00.
        ("2027-03-13T23:30:00-05:00", "2027-03-14T05:01:00+00:00", 1, "America/Havana", True),
        ("2027-03-13T23:30:00-05:00", "2027-03-14T05:01:01+00:00", 1, "America/Havana", False),
    ],
)
def test_receipt_of_the_day_came_in_on_its_day_in_the_store_s_zone(
    bought: str, accepted: str, grace_minutes: int, zone: str, expected: bool
) -> None:
    sold = line(5001, occurred_at=at(bought), accepted_at=at(accepted))
    assert is_in_time(sold, receipt_terms(grace_minutes=grace_minutes), time_zone=zone) is expected
    assert is_in_time(sold, receipt_terms(same_day=False), time_zone=zone)


def test_line_that_came_in_too_late_does_not_lift_the_receipt() -> None:
    tomorrow = NOON + timedelta(days=1)
    late = line(2000, "f", "q", accepted_at=tomorrow)
    assert checked([line(4000), late]) == NONE
    assert checked([line(4000), late], receipt_terms(same_day=False)) == BOTH
    assert checked([line(5001), replace(line(5001), event_id="again", accepted_at=tomorrow)]) == BOTH
