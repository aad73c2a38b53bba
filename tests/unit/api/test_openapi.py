"""The OpenAPI document as people and generated clients read it: every name is unique, everything has its text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.api.campaigns.wire import CampaignChange, CampaignRequest, OfferChange, OfferRequest
from app.main import create_app
from app.settings import Settings

Json = dict[str, Any]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service that has not started."""
    data_dir: Path = tmp_path_factory.mktemp("openapi")
    return create_app(Settings.load(data_dir=data_dir), "redis://127.0.0.1:1/0")


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Json:
    """What the service says of itself."""
    return app.openapi()


def operations(document: Json) -> Iterator[Json]:
    """Every method of every path."""
    for methods in document["paths"].values():
        yield from methods.values()


def test_operation_is_called_like_its_function(document: Json) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"decide", "record_events", "redeem_coupons", "add_campaign", "get_replenishment"} <= set(names)
    assert not [name for name in names if "v1" in name]


def test_every_operation_has_one_tag_and_every_tag_its_text(document: Json) -> None:
    used = [operation["tags"] for operation in operations(document)]
    assert {len(tags) for tags in used} == {1}
    texts = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert set(texts) == {tag for tags in used for tag in tags}
    assert all(text.endswith(".") for text in texts.values())


def test_every_operation_says_what_it_does(document: Json) -> None:
    assert not [operation["operationId"] for operation in operations(document) if not operation.get("description")]


def test_every_schema_has_a_name_of_its_own(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert {"CouponAnswer", "PropositionCoupon", "OfferTerms"} <= set(schemas)
    assert not [name for name in schemas if not name.isidentifier() or "__" in name]
    titles = [schema["title"] for schema in schemas.values() if "title" in schema]
    assert sorted(titles) == sorted(set(titles))


def test_terms_and_events_that_are_parsed_later_are_described_by_reference(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["CampaignRequest"]["properties"]["terms"]["$ref"].endswith("/CampaignTerms")
    assert schemas["TrialOffer"]["properties"]["terms"]["$ref"].endswith("/OfferTerms")
    kinds = [kind["$ref"].split("/")[-1] for kind in schemas["EventBatch"]["properties"]["events"]["items"]["anyOf"]]
    assert kinds == ["EventRow", "SessionRow", "InventoryRow", "PriceRow"]


def test_every_error_has_the_same_shape_by_reference(document: Json) -> None:
    shapes = {
        content["schema"]["$ref"]
        for operation in operations(document)
        for response in operation["responses"].values()
        for media_type, content in response.get("content", {}).items()
        if media_type == "application/problem+json"
    }
    assert shapes == {f"#/components/schemas/{name}" for name in ("Problem", "RefusedProblem")}
    assert {"Problem", "RefusedProblem"} <= set(document["components"]["schemas"])


def test_decisions_and_events_alone_may_be_called_with_a_publishable_key_and_a_token(document: Json) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("name")) for scheme in schemes.values()} == {
        ("http", None),
        ("apiKey", "X-API-Key"),
    }
    named = {name for operation in operations(document) for one in operation.get("security", ()) for name in one}
    assert named == set(schemes)
    by_person = [one["operationId"] for one in operations(document) if len(one.get("security", ())) > 1]
    assert sorted(by_person) == ["decide", "record_events"]


def test_no_object_has_alternatives_next_to_its_properties(document: Json) -> None:
    # Generators of clients then describe the alternatives and forget the properties.
    unions = {"anyOf", "oneOf", "allOf"}
    schemas = document["components"]["schemas"]
    assert not [name for name, schema in schemas.items() if "properties" in schema and unions & set(schema)]


def test_every_request_body_has_examples_that_its_model_takes(app: FastAPI, document: Json) -> None:
    bodies = [
        route.body_field.field_info.annotation
        for route in app.routes
        if isinstance(route, APIRoute) and route.body_field is not None
    ]
    assert len(bodies) > 15
    for model in bodies:
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for example in document["components"]["schemas"][model.__name__]["examples"]:
            taken = model.model_validate(example)
            if isinstance(taken, CampaignRequest | CampaignChange | OfferRequest | OfferChange):
                taken.parsed()


def test_every_field_of_an_answer_and_a_request_is_described(document: Json) -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert not bare, "give each a Field(description=…) with its unit"


def test_every_parameter_is_described(document: Json) -> None:
    parameters = [one for operation in operations(document) for one in operation.get("parameters", ())]
    assert {"customer_id", "from", "dry_run", "Idempotency-Key"} <= {one["name"] for one in parameters}
    assert not [one for one in parameters if not one.get("description")]
