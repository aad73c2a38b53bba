"""A query parameter that a route does not know is refused by name, on every route."""

import pytest
from fastapi.routing import APIRoute

from app.api.campaigns.routes import router
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
    assert all(isinstance(route, APIRoute) for route in router.routes)
    assert len(shop.get("/v1/campaigns?limit=1")["campaigns"]) <= 1
