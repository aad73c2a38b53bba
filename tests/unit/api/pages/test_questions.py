"""Bodies from pages and apps: about the token's person, whoever reads them next and however they are written."""

from typing import Any

import orjson
import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st

from app.api.decisions.wire import DecisionRequest
from app.api.pages.events import PAGE_EVENT_TYPES, own_row, page_client
from app.api.pages.questions import own_question
from app.api.pages.tokens import Person
from app.ingest.places import PLACE_TYPES
from app.ingest.schema import EVENT_TYPES, RejectedEvent

CUSTOMER, VISITOR, BOTH = Person("900", None), Person(None, "visitor-1"), Person("900", "visitor-1")


def bound(body: dict[str, Any], person: Person) -> dict[str, Any]:
    question = own_question(orjson.dumps(body), person)
    assert isinstance(question, bytes), question.body
    parsed: dict[str, Any] = orjson.loads(question)
    return parsed


def refusal(body: bytes, person: Person) -> tuple[int, str]:
    question = own_question(body, person)
    assert isinstance(question, Response)
    return question.status_code, orjson.loads(question.body)["code"]


@pytest.mark.parametrize("person", [CUSTOMER, VISITOR, BOTH])
def test_body_that_names_nobody_gets_the_person_of_the_token(person: Person) -> None:
    for body in ({}, {"customer_id": None}, {"customer_id": None, "anonymous_id": None}):
        assert bound(body, person) == person._asdict()


def test_body_may_name_its_own_person() -> None:
    assert bound({"customer_id": " 900 "}, BOTH) == {"customer_id": "900"}
    assert bound({"anonymous_id": "visitor-1"}, BOTH) == {"anonymous_id": "visitor-1"}


@pytest.mark.parametrize(
    ("body", "person"),
    [
        (b'{"customer_id": "901"}', CUSTOMER),
        (b'{"customer_id": "900"}', VISITOR),
        (b'{"anonymous_id": "visitor-1"}', CUSTOMER),
        (b'{"customer_id": "900", "anonymous_id": "visitor-2"}', BOTH),
        (b'{"customer_id": "901", "anonymous_id": "visitor-1"}', BOTH),
        (b'{"customer_id": "900", "customer_id": "901"}', CUSTOMER),
        (b'{"customer_id": 900}', CUSTOMER),
        (b'{"customer_id": ["900"]}', CUSTOMER),
        (b'{"customer_id": ""}', CUSTOMER),
        (b'{"customer_id": false}', CUSTOMER),
        (b'{"customer_id": "9\\u003000"}', CUSTOMER),
    ],
)
def test_body_of_another_person_is_refused(body: bytes, person: Person) -> None:
    assert refusal(body, person) == (403, "other_person")


@pytest.mark.parametrize(
    "field",
    [
        {"explain": True},
        {"explain": 1},
        {"explain": "yes"},
        {"explain": []},
        {"objective": "margin"},
        {"context": {"now": "2027-01-01T00:00:00Z"}},
    ],
)
def test_what_is_for_the_retailer_alone_is_refused(field: dict[str, Any]) -> None:
    assert refusal(orjson.dumps(field), CUSTOMER) == (403, "not_for_pages")


def test_defaults_of_such_fields_do_no_harm() -> None:
    assert bound({"explain": False, "objective": None, "context": {"now": None}}, CUSTOMER)["customer_id"] == "900"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"size": NaN}', b'{"customer_id": "\\ud800"}'])
def test_body_that_is_no_json_goes_nowhere(body: bytes) -> None:
    assert refusal(body, CUSTOMER) == (400, "malformed_json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["900", " 900", "901", "visitor-1", "home"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["now", "x"]), inner, max_size=2),
    max_leaves=3,
)
FIELDS = ["customer_id", "anonymous_id", "placement", "explain", "objective", "context", "size"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from([CUSTOMER, VISITOR, BOTH]))
def test_whatever_is_sent_the_next_reader_sees_nobody_but_the_person(body: dict[str, Any], person: Person) -> None:
    question = own_question(orjson.dumps(body), person)
    if isinstance(question, Response):
        return
    try:
        parsed = DecisionRequest.model_validate_json(question)
    except ValueError:
        return
    assert parsed.customer_id in (None, person.customer_id)
    assert parsed.anonymous_id in (None, person.anonymous_id)
    assert not parsed.explain
    assert parsed.objective is None
    assert parsed.context.now is None


def test_rows_are_bound_to_the_person_as_bodies_are() -> None:
    row = {"type": "view_item", "product_id": "tea"}
    assert own_row(row, BOTH) == row | BOTH._asdict()
    assert row == {"type": "view_item", "product_id": "tea"}
    with pytest.raises(RejectedEvent, match="customer_id is not") as rejected:
        own_row(row | {"customer_id": "901"}, BOTH)
    assert rejected.value.code == "other_person"


@pytest.mark.parametrize("kind", [*EVENT_TYPES, *sorted(PLACE_TYPES), "Purchase", "", None, ["view_item"], {"a": 1}])
def test_types_beyond_what_a_person_may_report_are_rejected(kind: Any) -> None:
    if kind in PAGE_EVENT_TYPES:
        assert own_row({"type": kind}, CUSTOMER)["customer_id"] == "900"
        return
    with pytest.raises(RejectedEvent) as rejected:
        own_row({"type": kind}, CUSTOMER)
    assert rejected.value.code == "type_not_allowed"


def test_what_earns_coupons_or_holds_for_everybody_is_no_page_s_to_report() -> None:
    of_the_retailer = {"purchase", "refund", "shipment_delayed", "replenishment_signal", "payment_failed"}
    assert set(PAGE_EVENT_TYPES) == set(EVENT_TYPES) - of_the_retailer


def test_no_two_persons_share_a_sender_of_events_nor_one_with_the_server() -> None:
    senders = {page_client("web-shop", person) for person in (CUSTOMER, VISITOR, Person("visitor-1", None))}
    assert len(senders | {"web-shop"}) == 4
    assert all(" " not in sender and "/" not in sender for sender in senders)
