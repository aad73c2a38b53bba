"""Identities as keys, and which of them are one person."""

from datetime import UTC, datetime, timedelta

import pytest

from app.customers.identities import (
    Identity,
    Link,
    anonymous_ids_of,
    customer_ids_of,
    identity_behind,
    identity_of,
    joined_with,
    named_customer,
    named_ids,
    person_key,
)
from app.errors import BadInput

AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        ("customer_id", "900", "c:900"),
        ("device", "dev-1", "a:dev-1"),
        ("cookie", "dev-1", "a:dev-1"),
        ("loyalty_card", "12:3", "c:~loyalty_card:12:3"),
    ],
)
def test_identity_is_a_customers_name_or_a_visitors(kind: str, value: str, key: str) -> None:
    assert identity_of(kind, value).key == key
    assert identity_behind(key).key == key


def test_customer_may_be_named_by_any_identity() -> None:
    assert named_customer("900") == Identity("customer_id", "900")
    assert named_customer("~loyalty_card:1").key == "c:~loyalty_card:1"
    assert named_customer("~customer_id:900").key == "c:900"
    assert named_customer("~odd").key == "c:~odd", "what is no such form is an id like any other"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (("900", "dev-1"), ("900", "dev-1")),
        (("~device:dev-1", None), (None, "dev-1")),
        (("~device:dev-1", "dev-1"), (None, "dev-1")),
        (("~customer_id:900", None), ("900", None)),
        (("~till_account:7", "dev-1"), ("~till_account:7", "dev-1")),
        ((None, "dev-1"), (None, "dev-1")),
    ],
)
def test_device_named_as_customer_is_a_visitor(
    given: tuple[str | None, str | None], ids: tuple[str | None, str | None]
) -> None:
    assert named_ids(*given) == ids


def test_two_devices_in_one_question_are_refused() -> None:
    with pytest.raises(BadInput, match="dev-1"):
        named_ids("~device:dev-1", "dev-2")


@pytest.mark.parametrize("kind", ["", "Card", "loyalty-card", "1st", "x" * 33])
def test_type_is_a_short_lower_case_word(kind: str) -> None:
    with pytest.raises(BadInput, match="identity type"):
        identity_of(kind, "1")


def test_value_fits_where_ids_are_kept() -> None:
    assert len(identity_of("loyalty_card", "1" * 114).key) == 2 + 128
    with pytest.raises(BadInput, match="114"):
        identity_of("loyalty_card", "1" * 115)


def test_keys_say_which_ids_they_name() -> None:
    keys = ("a:dev-1", "c:901", "c:900", "c:~loyalty_card:1")
    assert customer_ids_of(keys) == ("900", "901", "~loyalty_card:1")
    assert anonymous_ids_of(keys) == ("dev-1",)
    assert person_key(keys) == "c:900"
    assert person_key(["a:dev-1"]) == "a:dev-1"


def test_links_join_through_others_in_both_directions() -> None:
    links = {"a": ["b"], "b": ["a", "c"], "c": ["b"], "d": ["e"], "e": ["d"]}
    for start in "abc":
        assert joined_with([start], lambda keys: {key: links.get(key, []) for key in keys}) == {"a", "b", "c"}


def test_later_link_counts_and_of_one_instant_that_which_separates() -> None:
    linked, later = Link("c:1", AT), Link("c:2", AT + timedelta(seconds=1))
    assert linked.is_before(later)
    assert not later.is_before(linked)
    assert linked.is_before(Link(None, AT))
    assert not Link(None, AT).is_before(linked)
    assert not linked.is_before(linked)
