"""Limits of requests and guesses: exact counts at instants that the test sets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.limits import GuessLimit, RequestLimit
from app.errors import TooManyGuesses
from app.stores.sql.access.keys import Grant


def a_grant(per_second: int | None, key_id: str = "key_1") -> Grant:
    return Grant(key_id, "till-12", frozenset(), per_second)


def test_quiet_key_may_burst_twice_its_rate_and_then_asks_at_its_rate() -> None:
    limit, grant = RequestLimit(default_per_second=0), a_grant(5)
    assert [limit.wait_s(grant, 100.0) for _ in range(10)] == [0.0] * 10
    assert limit.wait_s(grant, 100.0) == pytest.approx(0.2)
    assert limit.wait_s(grant, 100.2) == 0.0
    assert limit.wait_s(grant, 100.2) > 0
    assert [limit.wait_s(grant, 200.0) for _ in range(11)].count(0.0) == 10


def test_keys_do_not_use_up_each_other_s_rate() -> None:
    limit = RequestLimit(default_per_second=1)
    for key_id in ("key_1", "key_2"):
        assert [limit.wait_s(a_grant(None, key_id), 0.0) == 0.0 for _ in range(3)] == [True, True, False]


def test_no_rate_means_the_default_and_zero_means_no_limit() -> None:
    assert all(RequestLimit(default_per_second=0).wait_s(a_grant(None), 0.0) == 0.0 for _ in range(1000))
    assert all(RequestLimit(default_per_second=1).wait_s(a_grant(0), 0.0) == 0.0 for _ in range(1000))


@given(st.integers(1, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=300))
def test_no_span_lets_more_through_than_its_rate_and_a_burst(per_second: int, pauses: list[float]) -> None:
    limit, grant, now_s = RequestLimit(default_per_second=per_second), a_grant(None), 0.0
    passed = []
    for pause in pauses:
        now_s += pause
        if limit.wait_s(grant, now_s) == 0.0:
            passed.append(now_s)
    for first, start_s in enumerate(passed):
        for last, end_s in enumerate(passed[first:], first):
            assert last - first + 1 <= per_second * (2 + end_s - start_s) + 1e-3


def test_ten_failures_of_a_customer_in_a_minute_end_the_customer_s_guesses() -> None:
    guesses = GuessLimit(per_customer=10, per_client=300)
    for second in range(10):
        guesses.check("shop", "900", float(second))
        guesses.failed("shop", "900", 1, float(second))
    with pytest.raises(TooManyGuesses) as refused:
        guesses.check("shop", "900", 9.0)
    assert refused.value.retry_after_s == 51.0
    guesses.check("shop", "901", 9.0)
    guesses.check("other-shop", "900", 9.0)
    guesses.check("shop", "900", 60.0)


def test_client_s_guesses_end_however_many_customers_it_names() -> None:
    guesses = GuessLimit(per_customer=10, per_client=300)
    for number in range(300):
        guesses.check("shop", f"customer-{number}", 0.0)
        guesses.failed("shop", f"customer-{number}", 1, 0.0)
    with pytest.raises(TooManyGuesses):
        guesses.check("shop", "somebody-new", 59.9)
    guesses.check("shop", "somebody-new", 60.0)


def test_codes_of_one_request_count_one_by_one() -> None:
    guesses = GuessLimit(per_customer=10, per_client=300)
    guesses.failed("shop", "900", 9, 0.0)
    guesses.check("shop", "900", 0.0)
    guesses.failed("shop", "900", 5, 30.0)
    with pytest.raises(TooManyGuesses) as refused:
        guesses.check("shop", "900", 31.0)
    assert refused.value.retry_after_s == 29.0


def test_codes_that_exist_count_for_nothing() -> None:
    guesses = GuessLimit(per_customer=1, per_client=1)
    for _ in range(100):
        guesses.check("till", "-", 0.0)
        guesses.failed("till", "-", 0, 0.0)


def test_refused_guesses_are_reported_and_memory_is_bounded() -> None:
    reports: list[None] = []
    guesses = GuessLimit(per_customer=1, per_client=10**9, on_refused=lambda: reports.append(None), max_guessers=100)
    randomly = random.Random(0)
    for _ in range(10_000):
        guesses.failed("shop", str(randomly.random()), 1, 0.0)
    guesses.failed("shop", "900", 1, 0.0)
    with pytest.raises(TooManyGuesses):
        guesses.check("shop", "900", 0.0)
    assert len(reports) == 1
    assert len(guesses._failures) == 100
