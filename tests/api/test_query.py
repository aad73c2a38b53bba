"""A query parameter that a route does not know is refused by name, on every route."""

import pytest

from tests.support.shop import Shop


@pytest.mark.parametrize(
    ("path", "pointer", "known"),
    [
        ("/v1/campaigns?status=running", "/query/status", "after, limit"),
        ("/v1/campaigns?limit=1&Limit=2", "/query/Limit", "after, limit"),
        ("/v1/offers/none?x", "/query/x", "none"),
        ("/v1/customers/none/wallet?a/b=1", "/query/a~1b", "none"),
        ("/healthz?x=1", "/query/x", "none"),
    ],
)
def test_unknown_parameter_is_refused_with_those_that_exist(shop: Shop, path: str, pointer: str, known: str) -> None:
    refused = shop.get(path, status=422)
    assert (refused["code"], refused["pointer"]) == ("invalid_request", pointer)
    assert refused["detail"].endswith(f"there are: {known}")


def test_decisions_refuse_it_too(shop: Shop) -> None:
    refused = shop.post("/v1/decisions?explain=true", {"placement": "app_home"}, status=422)
    assert refused["pointer"] == "/query/explain"


def test_known_parameters_are_taken(shop: Shop) -> None:
    assert len(shop.get("/v1/campaigns?limit=1")["campaigns"]) <= 1


def test_every_parameter_of_the_openapi_document_is_taken(shop: Shop) -> None:
    for path, operations in shop.get("/openapi.json")["paths"].items():
        names = [one["name"] for one in operations.get("get", {}).get("parameters", []) if one["in"] == "query"]
        answer = shop.client.get(path, params=dict.fromkeys(names, "1"))
        assert "is no query parameter" not in answer.text, path
