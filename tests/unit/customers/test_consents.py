"""What counts of all that was said about a consent."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from app.customers.consents import (
    ALL_CHANNELS,
    Statement,
    Status,
    is_allowed,
    status_of,
    status_on,
    statuses_of,
    strictest,
)

AT = datetime(2026, 11, 1, tzinfo=UTC)


def said(status: str, day: int, *, purpose: str = "personalization", channel: str = ALL_CHANNELS) -> Statement:
    return Statement(purpose, channel, status, AT + timedelta(days=day), day)


@pytest.mark.parametrize(
    ("statements", "on_web", "elsewhere"),
    [
        ([], Status.UNKNOWN, Status.UNKNOWN),
        ([said("granted", 1)], Status.GRANTED, Status.GRANTED),
        ([said("granted", 1), said("withdrawn", 2)], Status.WITHDRAWN, Status.WITHDRAWN),
        ([said("granted", 1), said("withdrawn", 2, channel="web")], Status.WITHDRAWN, Status.GRANTED),
        ([said("withdrawn", 1, channel="web"), said("granted", 2)], Status.GRANTED, Status.GRANTED),
        ([said("granted", 1, channel="web")], Status.GRANTED, Status.UNKNOWN),
        ([said("objected", 1), said("granted", 2)], Status.OBJECTED, Status.OBJECTED),
        ([said("granted", 1), said("objected", 2), said("lifted", 3)], Status.GRANTED, Status.GRANTED),
        ([said("objected", 1, purpose="marketing"), said("granted", 2)], Status.OBJECTED, Status.OBJECTED),
        ([said("objected", 1, purpose="measurement"), said("granted", 2)], Status.GRANTED, Status.GRANTED),
    ],
)
def test_last_word_counts_for_its_channel_and_an_objection_against_all(
    statements: list[Statement], on_web: Status, elsewhere: Status
) -> None:
    for order in permutations(statements):
        assert status_of(order, "personalization", "web") is on_web
        assert status_of(order, "personalization", "app") is elsewhere


def test_objection_to_marketing_stands_against_each_kind_of_it() -> None:
    statements = [said("granted", 1, purpose="marketing_push"), said("objected", 2, purpose="marketing")]
    assert status_of(statements, "marketing_push", ALL_CHANNELS) is Status.OBJECTED
    assert status_of([*statements, said("granted", 3, purpose="measurement")], "measurement", "") is Status.GRANTED


def test_strictest_of_all_names_counts_and_silence_says_nothing_against() -> None:
    assert strictest([Status.GRANTED, Status.WITHDRAWN]) is Status.WITHDRAWN
    assert strictest([Status.OBJECTED, Status.WITHDRAWN]) is Status.OBJECTED
    assert strictest([Status.GRANTED, Status.UNKNOWN]) is Status.GRANTED
    assert strictest([]) is Status.UNKNOWN


def test_person_has_a_status_on_each_channel_that_some_name_mentions() -> None:
    statuses = statuses_of([[said("granted", 1)], [said("withdrawn", 1, channel="web")], []], "personalization")
    assert statuses == {ALL_CHANNELS: Status.GRANTED, "web": Status.WITHDRAWN}
    assert status_on(statuses, "web") is Status.WITHDRAWN
    assert status_on(statuses, "app") is Status.GRANTED
    assert status_on(statuses, None) is Status.WITHDRAWN, "it may be the channel that was withdrawn"
    assert status_on({}, None) is Status.UNKNOWN


def test_silence_allows_nothing_where_consent_is_required() -> None:
    assert not is_allowed(Status.UNKNOWN, is_required=True)
    assert is_allowed(Status.UNKNOWN, is_required=False)
    for is_required in (True, False):
        assert is_allowed(Status.GRANTED, is_required=is_required)
        assert not is_allowed(Status.WITHDRAWN, is_required=is_required)
        assert not is_allowed(Status.OBJECTED, is_required=is_required)
