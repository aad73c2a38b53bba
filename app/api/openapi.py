"""What the OpenAPI document says beyond the routes themselves: names of operations, texts of tags, access, errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from app.api.access import DECLARED
from app.api.fields import CUSTOMER_ID, PRODUCT_ID
from app.api.problems import Problem, documented
from app.api.till.wire import RefusedProblem

ABOUT = (
    "What to show each customer, which coupons apply, and what came of it. Routes below `/v1` need an API key once the "
    "service has one: press Authorize and type it in. Amounts are whole minor units (cents), instants have an offset, "
    "ids are strings; errors are problem+json with a stable `code`."
)
"""What the reference page says first."""

TAGS: list[dict[str, str]] = [
    {
        "name": "decisions",
        "description": "What a person is shown: ranked products and coupons for a placement, and what a customer is "
        "likely to buy again. Shops, apps and kiosks call these while a page is built.",
    },
    {
        "name": "events",
        "description": "What happened: views, baskets, purchases and returns from every channel. The next decision "
        "takes them into account.",
    },
    {
        "name": "till",
        "description": "Coupons on a basket: what they would give, held for an order, redeemed and rolled back. Money "
        "is in integer minor units; writes need an `Idempotency-Key`.",
    },
    {
        "name": "coupons",
        "description": "The coupons that customers hold: wallets, issuing, activation, revocation, and pictures of "
        "their codes.",
    },
    {
        "name": "campaigns",
        "description": "What the marketing team plans: campaigns with budgets, their offers and audiences, simulation "
        "on past baskets, and settlement with suppliers.",
    },
    {
        "name": "customers",
        "description": "Who a customer is on every channel, what they allow and want: identities, consent, "
        "preferences. For the systems that hold customers' accounts.",
    },
    {
        "name": "places",
        "description": "Stores and warehouses, their stock and prices in one view, and goods put aside for an order. "
        "Stock and prices come in as events, or by file.",
    },
    {
        "name": "data",
        "description": "The retailer's own data on their way in, for the systems that hold them: products, and files "
        "of every kind that the import on the command line takes.",
    },
    {
        "name": "health",
        "description": "What operations watch. These routes need no key: keep them inside your network.",
    },
]
"""In the order in which the reference page shows them."""

PARAMETERS = {
    "decision_id": "The decision, as its answer names it",
    "customer_id": CUSTOMER_ID,
    "identity_type": "What kind of name it is: customer_id, loyalty_card, device, cookie, email_hash, till_account, …",
    "value": "The name itself",
    "purpose": "What for: personalization, marketing_push, marketing_email, measurement, …",
    "product_id": PRODUCT_ID,
    "campaign_id": "The campaign",
    "job_id": "The import on its way, as its answer names it",
    "import_id": "The import, as `GET /v1/imports` and its report name it",
    "mapping": "What later files are to call the mapping",
    "erasure_id": "The erasure, as its answer names it",
    "offer_id": "The offer",
    "store_id": "The store or warehouse",
    "coupon_id": "The coupon",
    "reservation_id": "The reservation, as its answer names it",
    "redemption_id": "The redemption, as its answer names it",
    "action": "What to do with the campaign (docs/coupon-rules.md#campaign-states)",
    "after": "Only campaigns after this id: `next` of the page before. Default: from the first",
    "limit": "How many at most",
    "from": "First instant of the period, ISO 8601 with an offset",
    "to": "First instant after the period, ISO 8601 with an offset",
}
"""What parameters of paths and queries mean that many routes share, described once here instead of in each."""


PERSON_SCHEMES: dict[str, dict[str, str]] = {
    "publishable_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A publishable key of `endcap keys create --publishable`, in pages and apps; always together "
        "with `person_token` (docs/access.md#pages-and-apps)",
    },
    "person_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The person's token, which your server signs",
    },
}
"""How a page or an app says who sends a request: both together."""


def describe(app: FastAPI) -> None:
    """Completes the OpenAPI document of the routes that the application has by now."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            # Generated clients call their functions by it; FastAPI's own default repeats the path and the method.
            route.operation_id = route.name
    written = app.openapi

    def openapi() -> dict[str, Any]:
        # FastAPI keeps the document and hands out the same one each time, so it is completed once.
        if app.openapi_schema is None:
            _complete(written())
        return written()

    # The documented way to extend the document; every reader of it calls `app.openapi`.
    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    """Adds what all routes with a scope share: the way to send a key, and the refusals; and the schemas of errors."""
    components = document["components"]
    scheme = {"type": "http", "scheme": "bearer", "description": "A key of `endcap keys create`, or ENDCAP_API_KEY"}
    components["securitySchemes"] = {"bearer": scheme, **PERSON_SCHEMES}
    for name, schema in _schemas_of_errors().items():
        components["schemas"].setdefault(name, schema)
    for schema in components["schemas"].values():
        if "examples" in schema:
            # pydantic sorts the keys of examples; people read them in the order of the fields.
            schema["examples"] = [
                {name: example[name] for name in schema["properties"] if name in example}
                for example in schema["examples"]
            ]
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in PARAMETERS:
                parameter.setdefault("description", PARAMETERS[parameter["name"]])
        if DECLARED in operation:
            for status, refused in documented(401, 403, 429, 503).items():
                operation["responses"].setdefault(str(status), refused)
        if "application/json" in operation.get("requestBody", {}).get("content", ()):
            operation["responses"].setdefault("415", documented(415)[415])


def _schemas_of_errors() -> dict[str, object]:
    """The schemas that error responses refer to: FastAPI knows the models of application/json alone."""
    _, found = models_json_schema(
        [(Problem, "serialization"), (RefusedProblem, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, object] = found["$defs"]
    return schemas
