"""Requests made up from the service's own OpenAPI, with Redis and without: its codes, types and bodies hold.

`SCHEMATHESIS_CASES=1000 python -m pytest tests/api/test_schemathesis.py` tries more than the ordinary run does.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.stores.redis.server.embedded import free_port
from tests.support.server import serving
from tests.support.world import World

CASES = int(os.environ.get("SCHEMATHESIS_CASES", "100"))
OF_ANY_ANSWER = [status_code_conformance, content_type_conformance, response_schema_conformance]
CHECKS = [not_a_server_error, *OF_ANY_ANSWER]
SOUND, FAULTY = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OPERATIONS = [
    ("/v1/decisions", "POST", (SOUND, FAULTY)),
    ("/v1/decisions/{decision_id}", "GET", (SOUND, FAULTY)),
    ("/v1/events", "POST", (SOUND, FAULTY)),
    ("/v1/customers/{customer_id}/replenishment", "GET", (SOUND, FAULTY)),
    ("/healthz", "GET", (SOUND,)),
    ("/readyz", "GET", (SOUND,)),
    ("/metrics", "GET", (SOUND,)),
]
"""Where nothing can be given, nothing can be given wrongly."""
OF_THE_LEDGER = [
    ("/v1/campaigns", "POST"),
    ("/v1/campaigns", "GET"),
    ("/v1/campaigns/{campaign_id}", "GET"),
    ("/v1/campaigns/{campaign_id}", "PUT"),
    ("/v1/campaigns/{campaign_id}/budget", "GET"),
    ("/v1/campaigns/{campaign_id}/offers", "POST"),
    ("/v1/campaigns/{campaign_id}/offers", "GET"),
    ("/v1/campaigns/{campaign_id}/offers/generate", "POST"),
    ("/v1/campaigns/{campaign_id}/simulate", "POST"),
    ("/v1/campaigns/{campaign_id}/audience", "POST"),
    ("/v1/campaigns/{campaign_id}/coupons", "POST"),
    ("/v1/campaigns/{campaign_id}/{action}", "POST"),
    ("/v1/offers/{offer_id}", "GET"),
    ("/v1/offers/{offer_id}", "PUT"),
    ("/v1/offers/{offer_id}", "DELETE"),
    ("/v1/settlements", "GET"),
    ("/v1/customers/{customer_id}/wallet", "GET"),
    ("/v1/customers/{customer_id}/membership", "PUT"),
    ("/v1/coupons", "POST"),
    ("/v1/coupons/{coupon_id}/revoke", "POST"),
    ("/v1/coupons/{coupon_id}/qr.svg", "GET"),
    ("/v1/coupons/{coupon_id}/qr.png", "GET"),
    ("/v1/coupons/{coupon_id}/barcode.svg", "GET"),
    ("/v1/imports/jobs/{job_id}", "GET"),
    ("/v1/stores", "GET"),
    ("/v1/stores/{store_id}", "GET"),
    ("/v1/stores/{store_id}", "PUT"),
    ("/v1/stores/{store_id}", "DELETE"),
    ("/v1/stock/{product_id}", "GET"),
    ("/v1/prices/{product_id}", "GET"),
    ("/v1/stock-reservations", "POST"),
    ("/v1/stock-reservations/{reservation_id}", "GET"),
    ("/v1/stock-reservations/{reservation_id}", "DELETE"),
    ("/v1/stock-reservations/{reservation_id}/collect", "POST"),
    ("/v1/qualifications", "POST"),
    ("/v1/validations", "POST"),
    ("/v1/reservations", "POST"),
    ("/v1/reservations/{reservation_id}", "GET"),
    ("/v1/reservations/{reservation_id}", "DELETE"),
    ("/v1/redemptions", "POST"),
    ("/v1/redemptions/{redemption_id}", "GET"),
    ("/v1/redemptions/{redemption_id}/rollback", "POST"),
]
"""They hardly need Redis, and are many: each is tried less often."""
OF_THE_CATALOGUE = [
    ("/v1/catalogue/products", "POST"),
    ("/v1/catalogue/products/{product_id}", "GET"),
    ("/v1/catalogue/products/{product_id}", "PATCH"),
    ("/v1/catalogue/products/{product_id}", "DELETE"),
]
"""Their file is rewritten once a second at most, and a write waits for it: each is tried least often."""
OF_CUSTOMERS = [
    ("/v1/customers/{customer_id}/identities", "GET"),
    ("/v1/customers/{customer_id}/identities/{identity_type}/{value}", "PUT"),
    ("/v1/customers/{customer_id}/identities/{identity_type}/{value}", "DELETE"),
    ("/v1/customers/{customer_id}/consents", "GET"),
    ("/v1/customers/{customer_id}/consents/{purpose}", "PUT"),
    ("/v1/customers/{customer_id}/objections", "POST"),
    ("/v1/customers/{customer_id}/objections/{purpose}", "DELETE"),
    ("/v1/customers/{customer_id}/preferences", "GET"),
    ("/v1/customers/{customer_id}/preferences", "PUT"),
    ("/v1/customers/{customer_id}/benefits", "GET"),
    ("/v1/customers/{customer_id}/state", "GET"),
    ("/v1/customers/{customer_id}/export", "GET"),
    ("/v1/clienteling/customers/{customer_id}", "GET"),
    ("/v1/audit", "GET"),
    ("/v1/erasures/{erasure_id}", "GET"),
]
"""Without Redis, what needs it answers 503."""
OF_PROCESSES = [
    ("/v1/imports", "POST"),
    ("/v1/imports", "GET"),
    ("/v1/imports/{import_id}/undo", "POST"),
    ("/v1/imports/mappings/{mapping}", "PUT"),
    ("/v1/customers/{customer_id}", "DELETE"),
]
"""Each request starts work on the world that tests share: tests/api/imports and tests/api/customers try them."""


@pytest.fixture(params=["redis up", "redis down"], scope="module")
def service(
    request: pytest.FixtureRequest, trained_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the service, on its Redis and on a port where nobody listens, on data of its own to change."""
    folder = tmp_path_factory.mktemp("made-up-requests") / "var"
    shutil.copytree(trained_world.settings.data_dir, folder)
    settings = trained_world.settings.model_copy(update={"data_dir": folder})
    is_up = request.param == "redis up"
    redis_url = trained_world.redis_url if is_up else f"redis://127.0.0.1:{free_port()}/0"
    with serving(settings, redis_url) as client:
        yield client


@pytest.fixture
def schema(service: httpx.Client) -> schemathesis.BaseSchema:
    """The service's own description of itself."""
    return schemathesis.openapi.from_url(f"{service.base_url}/openapi.json")


def test_every_operation_of_the_service_is_tried(schema: schemathesis.BaseSchema) -> None:
    described = {(path, method.upper()) for path in schema for method in schema[path]}
    assert described == {
        *((path, method) for path, method, _ in OPERATIONS),
        *OF_THE_LEDGER,
        *OF_THE_CATALOGUE,
        *OF_CUSTOMERS,
        *OF_PROCESSES,
    }


@pytest.mark.parametrize(
    ("path", "method", "mode"), [(path, method, mode) for path, method, modes in OPERATIONS for mode in modes]
)
def test_answer_keeps_what_openapi_promises(
    schema: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    check(schema, path, method, mode, cases=CASES // 2)


@pytest.mark.parametrize("mode", [SOUND, FAULTY])
@pytest.mark.parametrize(("path", "method"), [*OF_THE_LEDGER, *OF_THE_CATALOGUE])
def test_answer_about_coupons_and_products_keeps_what_openapi_promises(
    schema: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    check(schema, path, method, mode, cases=CASES // (20 if (path, method) in OF_THE_CATALOGUE else 5))


@pytest.mark.parametrize("mode", [SOUND, FAULTY])
@pytest.mark.parametrize(("path", "method"), OF_CUSTOMERS)
def test_answer_about_customers_keeps_what_openapi_promises(
    schema: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode, request: pytest.FixtureRequest
) -> None:
    is_up = request.node.callspec.params["service"] == "redis up"
    check(schema, path, method, mode, cases=CASES // 10, checks=CHECKS if is_up else OF_ANY_ANSWER)


def check(
    schema: schemathesis.BaseSchema,
    path: str,
    method: str,
    mode: GenerationMode,
    *,
    cases: int,
    checks: Sequence[schemathesis.CheckFunction] = CHECKS,
) -> None:
    """Fails on the first made-up request whose answer is not as described."""

    @settings(max_examples=cases, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(checks=list(checks))

    holds()
