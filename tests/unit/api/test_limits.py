"""Limits of requests and guesses: exact counts at instants that the test sets."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.limits import GuessLimit, LocalGuesses, RequestLimit
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


def test_memory_for_rates_is_bounded_and_keeps_those_who_sent_last() -> None:
    limit = RequestLimit(default_per_second=1, max_buckets=2)
    for key_id in ("key_1", "key_1", "key_2", "key_1:c:900"):
        limit.wait_s(a_grant(None, key_id), 0.0)
    assert limit.wait_s(a_grant(None, "key_1"), 0.0) == 0.0, "forgotten, it begins again"
    for _ in range(2):
        limit.wait_s(a_grant(None, "key_1:c:900"), 0.0)
    assert limit.wait_s(a_grant(None, "key_1:c:900"), 0.0) > 0.0
    assert len(limit._full_at) == 2


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


def fail(guesses: LocalGuesses, client: str, subject: str, count: int, now_s: float) -> int:
    """So many wrong codes in one request; how many of them were allowed to be."""
    granted, _ = guesses.reserve(client, subject, count, now_s)
    if granted > 0:
        guesses.settle(client, subject, granted, failed=granted, now_s=now_s)
    return granted


def test_ten_failures_of_a_customer_in_a_minute_end_the_customer_s_guesses() -> None:
    guesses = LocalGuesses(limits=(10, 300))
    assert [fail(guesses, "shop", "900", 1, float(second)) for second in range(10)] == [1] * 10
    assert guesses.reserve("shop", "900", 1, 9.0) == (-1, 51.0)
    assert guesses.reserve("shop", "901", 1, 9.0) == (1, 0.0)
    assert guesses.reserve("other-shop", "900", 1, 9.0) == (1, 0.0)
    assert guesses.reserve("shop", "900", 1, 60.0) == (1, 0.0)


def test_client_s_guesses_end_however_many_customers_it_names() -> None:
    guesses = LocalGuesses(limits=(10, 300))
    assert {fail(guesses, "shop", f"customer-{number}", 1, 0.0) for number in range(300)} == {1}
    assert fail(guesses, "shop", "somebody-new", 1, 59.9) == -1
    assert fail(guesses, "shop", "somebody-new", 1, 60.0) == 1


def test_codes_of_one_request_count_one_by_one_and_no_more_may_fail_than_are_left() -> None:
    guesses = LocalGuesses(limits=(10, 300))
    assert fail(guesses, "shop", "900", 9, 0.0) == 9
    assert fail(guesses, "shop", "900", 5, 30.0) == 1
    assert guesses.reserve("shop", "900", 1, 31.0) == (-1, 29.0)


def test_guesses_under_way_hold_their_place_until_they_turn_out_right() -> None:
    guesses = LocalGuesses(limits=(10, 300))
    assert guesses.reserve("till", "-", 8, 0.0) == (8, 0.0)
    assert guesses.reserve("till", "-", 3, 0.0) == (0, 0.0)
    guesses.settle("till", "-", 8, failed=0, now_s=0.0)
    for _ in range(100):
        assert guesses.reserve("till", "-", 10, 0.0) == (10, 0.0)
        guesses.settle("till", "-", 10, failed=0, now_s=0.0)


def test_memory_of_failures_is_bounded() -> None:
    guesses = LocalGuesses(limits=(1, 10**9), max_guessers=100)
    randomly = random.Random(0)
    for _ in range(10_000):
        fail(guesses, "shop", str(randomly.random()), 1, 0.0)
    assert len(guesses._failures) == 100
    assert not guesses._under_way


def test_request_whose_codes_fail_too_often_is_refused_and_what_it_may_fail_counts() -> None:
    reports: list[None] = []
    limit = GuessLimit(per_customer=3, per_client=300, on_refused=lambda: reports.append(None))

    async def guess(failed: int) -> int:
        async with limit.allowance("shop", "900", 5) as allowance:
            allowance.check(failed)
        return allowance.count

    assert asyncio.run(guess(2)) == 3
    for _ in range(2):
        with pytest.raises(TooManyGuesses):
            asyncio.run(guess(2))
    assert len(reports) == 2
