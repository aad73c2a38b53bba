"""Documents of offers: what is refused, in one sentence, with a pointer into what was sent."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import InvalidTerms
from app.offers.terms.conditions import MAX_DEPTH
from app.offers.terms.documents import UNIONS, parse_document, pointer_of
from app.offers.terms.terms import CampaignTerms, OfferTerms, Percent
from tests.support.offers import TEN_PERCENT

PLAIN = {"name": "ten off", "discount": TEN_PERCENT}
FIXED = {"type": "fixed_price", "price_minor": 100}
THREE_FOR_TWO = {"type": "n_for_m", "take": 3, "pay": 2}
CONTAINS = {"type": "contains", "products": [{"product_ids": ["p"]}]}


def nested(depth: int, *, kind: str = "all") -> dict[str, Any]:
    """A condition tree of so many levels."""
    tree: dict[str, Any] = {"type": "known_customer"}
    for _ in range(depth - 1):
        tree = {"type": kind, "of": [tree] if kind == "all" else tree}
    return tree


@pytest.mark.parametrize(
    ("part", "pointer", "sentence"),
    [
        ({"discount": {"type": "percent", "percent": 0}}, "/discount/percent", "greater than or equal to 0.01"),
        ({"discount": {"type": "percent", "percent": 9.999}}, "/discount/percent", "at most two decimals"),
        ({"discount": {"type": "percent", "percent": 1e-9}}, "/discount/percent", "greater than or equal to 0.01"),
        ({"discount": {"type": "percent", "percent": 10.0000001}}, "/discount/percent", "at most two decimals"),
        ({"discount": {"type": "percent", "percent": 100.001}}, "/discount/percent", "less than or equal to 100"),
        ({"discount": FIXED | {"max_quantity": 10**30}}, "/discount/max_quantity", "less than or equal"),
        ({"discount": THREE_FOR_TWO | {"max_groups": 10**30}}, "/discount/max_groups", "less than or equal"),
        ({"condition": CONTAINS | {"at_least_quantity": 0.0011}}, "/condition/at_least_quantity", "three decimals"),
        ({"condition": CONTAINS | {"at_least_quantity": 1e300}}, "/condition/at_least_quantity", "less than or equal"),
        ({"discount": {"type": "amount"}}, "/discount/amount_minor", "Field required"),
        ({"discount": {"type": "amount", "amount_minor": True}}, "/discount/amount_minor", "valid integer"),
        ({"discount": {"type": "amount", "amount_minor": 5.0}}, "/discount/amount_minor", "valid integer"),
        ({"discount": {"type": "amount", "amount_minor": "5"}}, "/discount/amount_minor", "valid integer"),
        ({"discount": {"type": "amount", "amount_minor": 10**30}}, "/discount/amount_minor", "less than or equal"),
        ({"discount": {"type": "n_for_m", "take": 3, "pay": 3}}, "/discount", "pay must be less than take"),
        ({"discount": {"type": "points"}}, "/discount", "give points or points_per_major"),
        ({"discount": {"type": "free"}}, "/discount/type", "Input should be one of 'percent'"),
        ({"discount": {}}, "/discount/type", "Field required"),
        ({"discount": 10}, "/discount", "Input should be an object"),
        ({"a/b~c": 1}, "/a~1b~0c", "Extra inputs"),
        ({"applies_to": [{"product_ids": ["1"]}, {"attribute": "brand"}]}, "/applies_to/1", "attribute and values"),
        ({"channels": ["web", "fax"]}, "/channels/1", "Input should be 'web'"),
        ({"valid_from": "2026-01-01T00:00:00"}, "/valid_from", "timezone"),
        ({"valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}, None, "valid_until must be"),
        ({"gcn": "4012345000004"}, "/gcn", "check digit"),
        ({"issue": {"by": "mail"}}, "/issue/by", "Input should be one of"),
        ({"issue": {"by": "receipt", "condition": {"type": "basket_total"}}}, "/issue/condition", "above_minor"),
        ({"condition": {"type": "any", "of": []}}, "/condition/of", "at least 1 item"),
        ({"condition": {"type": "not", "of": {"type": "eval"}}}, "/condition/of/type", "Input should be one of"),
        (
            {"condition": {"type": "all", "of": [nested(1), {"type": "not", "of": {"type": "store", "any_of": []}}]}},
            "/condition/of/1/of/any_of",
            "at least 1 item",
        ),
        (
            {"condition": {"type": "basket_total", "above_minor": 500, "at_most_minor": 500}},
            "/condition",
            "at_most_minor must not lie below",
        ),
        (
            {"condition": {"type": "time", "time_zone": "Mars", "start": "10:00"}},
            "/condition/time_zone",
            "'Mars' is no time zone",
        ),
        ({"condition": {"type": "time", "time_zone": "UTC"}}, "/condition", "give weekdays, start or end"),
        ({"condition": {"type": "time", "time_zone": "UTC", "start": "10:00Z"}}, "/condition", "leave the offset out"),
        ({"condition": {"type": "time", "time_zone": "UTC", "end": "00:00"}}, "/condition", "end must differ"),
    ],
)
def test_pointer_leads_to_the_fault(part: dict[str, object], pointer: str | None, sentence: str) -> None:
    with pytest.raises(InvalidTerms) as refused:
        parse_document(OfferTerms, PLAIN | part)
    assert refused.value.pointer == pointer
    assert refused.value.message.startswith(f"{pointer or 'document'}: ")
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("percent", [0.01, 0.29, 33.33, 57.3, 99.99, 100])
def test_percentage_of_whole_hundredths_is_taken(percent: float) -> None:
    terms = parse_document(OfferTerms, PLAIN | {"discount": {"type": "percent", "percent": percent}})
    assert terms.discount == Percent(type="percent", percent=percent)


def test_every_number_of_an_offer_and_a_campaign_has_a_least_and_a_greatest() -> None:
    for model in (OfferTerms, CampaignTerms):
        unbounded = [path for path, schema in numbers(model.model_json_schema()) if not is_bounded(schema)]
        assert unbounded == []


def test_pointer_begins_where_the_document_lies() -> None:
    with pytest.raises(InvalidTerms) as refused:
        parse_document(CampaignTerms, {"name": "autumn", "currency": "euro"}, "/terms")
    assert refused.value.pointer == "/terms/currency"
    with pytest.raises(InvalidTerms) as refused:
        parse_document(OfferTerms, [], "/offers/3")
    assert refused.value.pointer == "/offers/3"


@pytest.mark.parametrize("kind", ["all", "not"])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, MAX_DEPTH + 30, 5000])
def test_tree_too_deep_is_refused_whatever_its_depth(kind: str, depth: int) -> None:
    parse_document(OfferTerms, PLAIN | {"condition": nested(MAX_DEPTH, kind=kind)})
    with pytest.raises(InvalidTerms, match="nested") as refused:
        parse_document(OfferTerms, PLAIN | {"condition": nested(depth, kind=kind)})
    # Beyond what JSON readers take there is no tree to point into.
    assert refused.value.pointer == ("/condition" if depth < 100 else None)


def test_document_comes_back_as_it_was() -> None:
    document = PLAIN | {
        "channels": ["web"],
        "valid_from": "2026-01-01T00:00:00Z",
        "condition": {"type": "time", "time_zone": "Europe/Berlin", "weekdays": ["sat"], "start": "22:00:00"},
        "issue": {"by": "decision"},
    }
    terms = parse_document(OfferTerms, document)
    assert terms.model_dump(mode="json", exclude_unset=True, exclude_none=True) == document
    assert parse_document(OfferTerms, terms.model_dump(mode="json")) == terms
    assert parse_document(OfferTerms, terms.model_dump()) == terms


def test_location_without_kinds_is_a_pointer_even_where_a_kind_is_called_like_a_field() -> None:
    assert pointer_of(("discount", "percent", "percent")) == "/discount/percent"
    assert pointer_of(("condition", "all", "of", 1, "not", "of", "store", "any_of", 0)) == "/condition/of/1/of/any_of/0"
    assert pointer_of(()) == ""


def test_every_field_of_several_kinds_is_known() -> None:
    schema = OfferTerms.model_json_schema()
    members = {
        name: marks
        for model in (schema, *schema["$defs"].values())
        for name, field in model.get("properties", {}).items()
        if (marks := set(kind_marks(field)))
    }
    assert members == {name: {mark} for name, mark in UNIONS.items()}


def numbers(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that describes a number, and where it stands."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield path, schema
        for name, part in schema.items():
            yield from numbers(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for position, part in enumerate(schema):
            yield from numbers(part, f"{path}/{position}")


def is_bounded(schema: dict[str, Any]) -> bool:
    """True when the number can be neither too small nor too large, or is always the same."""
    return "const" in schema or (bool({"minimum", "exclusiveMinimum"} & schema.keys()) and "maximum" in schema)


def kind_marks(schema: object) -> Iterator[str]:
    """The members that tell kinds apart in a field's schema."""
    if isinstance(schema, dict):
        if "discriminator" in schema:
            yield schema["discriminator"]["propertyName"]
        yield from (mark for part in schema.values() for mark in kind_marks(part))
    elif isinstance(schema, list):
        yield from (mark for part in schema for mark in kind_marks(part))
