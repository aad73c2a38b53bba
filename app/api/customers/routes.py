"""`/v1/customers/{customer_id}/…`: identities, consents, objections and preferences of one person."""

from functools import partial

from fastapi import APIRouter, Request, Response

from app.api.access import needs
from app.api.customers.wire import (
    BenefitsAnswer,
    ConsentRequest,
    ConsentsAnswer,
    IdentitiesAnswer,
    LinkAnswer,
    ObjectionRequest,
    Preferences,
    PreferencesAnswer,
    Purpose,
    benefits_body,
    consents_body,
    identities_body,
    link_body,
    preferences_body,
)
from app.api.documents import json_answer
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import Id
from app.customers.consents import ALL_CHANNELS, LIFTED, OBJECTED, WITHDRAWN
from app.customers.identities import customer_ids_of, identity_of, named_customer
from app.domain import JsonObject, Scope
from app.stores.sql.customers.benefits import benefits_of
from app.stores.sql.customers.consents import Evidence, Said, history_of, say
from app.stores.sql.customers.groups import keys_of_customer
from app.stores.sql.customers.links import link, separate
from app.stores.sql.customers.preferences import preferences_of, set_preferences
from app.stores.sql.database.engine import Transaction

router = APIRouter(tags=["customers"])
CUSTOMER = "/v1/customers/{customer_id}"
IDENTITY = CUSTOMER + "/identities/{identity_type}/{value}"


@router.get(
    f"{CUSTOMER}/identities", response_model=IdentitiesAnswer, responses=documented(422), **needs(Scope.CUSTOMERS)
)
def get_identities(customer_id: Id, request: Request) -> Response:
    """Every name of the person, this one among them."""
    keys = service_of(request).ledger.read(partial(keys_of_customer, customer_id=customer_id))
    return json_answer({"customer_id": customer_id, "identities": identities_body(keys)})


@router.put(IDENTITY, response_model=LinkAnswer, responses=documented(409, 422), **needs(Scope.CUSTOMERS))
async def link_identity(customer_id: Id, identity_type: Id, value: Id, request: Request) -> Response:
    """From now on the identity is this customer's and nobody else's, with its events and coupons. Safe to repeat."""
    service = service_of(request)
    owner, identity = named_customer(customer_id).key, identity_of(identity_type, value)
    work = partial(link, owner=owner, identity=identity, now=service.ledger.now())
    return json_answer(link_body(await service.customers.commit(work, about=(owner, identity.key))))


@router.delete(IDENTITY, response_model=LinkAnswer, responses=documented(409, 422), **needs(Scope.CUSTOMERS))
async def separate_identity(customer_id: Id, identity_type: Id, value: Id, request: Request) -> Response:
    """The identity is no longer this customer's: each event and coupon is again that of whom it came from. Safe to
    repeat."""
    service = service_of(request)
    owner, identity = named_customer(customer_id).key, identity_of(identity_type, value)
    work = partial(separate, owner=owner, identity=identity, now=service.ledger.now())
    return json_answer(link_body(await service.customers.commit(work, about=(owner, identity.key))))


@router.get(f"{CUSTOMER}/consents", response_model=ConsentsAnswer, responses=documented(422), **needs(Scope.CUSTOMERS))
def get_consents(customer_id: Id, request: Request) -> Response:
    """What the customer allows now, and everything that was said about it."""
    return json_answer(_consents_now(service_of(request), customer_id))


@router.put(
    CUSTOMER + "/consents/{purpose}",
    response_model=ConsentsAnswer,
    responses=documented(400, 409, 413, 422),
    **needs(Scope.CUSTOMERS),
)
async def set_consent(customer_id: Id, purpose: Purpose, body: ConsentRequest, request: Request) -> Response:
    """Notes what the customer said. From the answer on it counts in every decision; a 503 means: send it again."""
    evidence = Evidence(body.source, body.text_version, body.time)
    channel = ALL_CHANNELS if body.channel is None else body.channel.value
    return await _say(request, customer_id, Said(purpose, channel, body.status), evidence)


@router.post(
    f"{CUSTOMER}/objections",
    response_model=ConsentsAnswer,
    responses=documented(400, 409, 413, 422),
    **needs(Scope.CUSTOMERS),
)
async def record_objection(customer_id: Id, body: ObjectionRequest, request: Request) -> Response:
    """Notes an objection, which stands against every consent, on all channels, until it is lifted. Safe to repeat."""
    evidence = Evidence(body.source, body.text_version)
    return await _say(request, customer_id, Said(body.purpose, ALL_CHANNELS, OBJECTED), evidence)


@router.delete(
    CUSTOMER + "/objections/{purpose}", response_model=ConsentsAnswer, responses=documented(409, 422),
    **needs(Scope.CUSTOMERS),
)  # fmt: skip
async def lift_objection(customer_id: Id, purpose: Purpose, request: Request) -> Response:
    """The customer takes their objection back; it grants nothing that they had not granted before."""
    return await _say(request, customer_id, Said(purpose, ALL_CHANNELS, LIFTED), Evidence("api"))


@router.get(f"{CUSTOMER}/benefits", response_model=BenefitsAnswer, responses=documented(422), **needs(Scope.CUSTOMERS))
def get_benefits(customer_id: Id, request: Request) -> Response:
    """What the customer got for their data, as the ledger has it, next to what they allow."""
    service = service_of(request)

    def read(connection: Transaction) -> dict[str, object]:
        keys = keys_of_customer(connection, customer_id)
        got = benefits_of(connection, customer_ids_of(keys))
        return benefits_body(got) | _consents(connection, service, customer_id, keys)

    return json_answer(service.ledger.read(read))


@router.get(
    f"{CUSTOMER}/preferences", response_model=PreferencesAnswer, responses=documented(422), **needs(Scope.CUSTOMERS)
)
def get_preferences(customer_id: Id, request: Request) -> Response:
    """What the customer wants to see, where, and how often."""
    return json_answer(_preferences(service_of(request), customer_id))


@router.put(
    f"{CUSTOMER}/preferences",
    response_model=PreferencesAnswer,
    responses=documented(400, 409, 413, 422),
    **needs(Scope.CUSTOMERS),
)
async def put_preferences(customer_id: Id, body: Preferences, request: Request) -> Response:
    """Sets what the customer wants, as a whole; what was opted out of is proposed no more. Safe to repeat."""
    service, key = service_of(request), named_customer(customer_id).key
    document = body.model_dump(mode="json", exclude_none=True)
    work = partial(set_preferences, key=key, document=document, now=service.ledger.now())
    await service.customers.commit(work, about=[key])
    return json_answer(_preferences(service, customer_id))


async def _say(request: Request, customer_id: str, said: Said, evidence: Evidence) -> Response:
    service, key = service_of(request), named_customer(customer_id).key
    work = partial(say, key=key, said=said, evidence=evidence, now=service.ledger.now())
    takes_away = said.status in (WITHDRAWN, OBJECTED)
    await service.customers.commit(work, about=[key], takes_away=takes_away)
    return json_answer(_consents_now(service, customer_id))


def _consents_now(service: Service, customer_id: str) -> dict[str, object]:
    def read(connection: Transaction) -> dict[str, object]:
        return _consents(connection, service, customer_id, keys_of_customer(connection, customer_id))

    return service.ledger.read(read)


def _consents(connection: Transaction, service: Service, customer_id: str, keys: tuple[str, ...]) -> dict[str, object]:
    is_required = service.settings.consent_is_required
    return consents_body(customer_id, keys, history_of(connection, keys), is_required=is_required)


def _preferences(service: Service, customer_id: str) -> dict[str, object]:
    def read(connection: Transaction) -> dict[str, JsonObject]:
        return preferences_of(connection, keys_of_customer(connection, customer_id))

    found = service.ledger.read(read)
    return preferences_body(customer_id, found.values())
