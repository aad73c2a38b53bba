"""A client that openapi-python-client generates: without a warning, and it reads typed answers of a live service."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.clients.tools import SOURCES, ClientTools
from tests.support.world import customer, product

PACKAGE = "generated_endcap_client"


@pytest.fixture(scope="module")
def generated(tools: ClientTools, document: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the generated package, which can be imported; any warning fails."""
    folder = tmp_path_factory.mktemp("python")
    where = ["--path", str(document), "--output-path", str(folder / PACKAGE), "--meta", "none"]
    options = ["--config", str(SOURCES / "python-client.yaml"), "--fail-on-warning"]
    tools.python("openapi_python_client", "generate", *where, *options)
    sys.path.insert(0, str(folder))
    yield PACKAGE
    sys.path.remove(str(folder))


@pytest.fixture
def client(generated: str, service: httpx.Client) -> Iterator[Any]:
    """The generated client of the running service, which takes any key as long as it has none."""
    made = import_module(f"{generated}.client").AuthenticatedClient(base_url=str(service.base_url), token="any")
    with made as opened:
        yield opened


def test_decision_is_read_as_a_typed_answer(generated: str, client: Any) -> None:
    models, decide = import_module(f"{generated}.models"), import_module(f"{generated}.api.decisions.decide")
    body = models.DecisionRequest(customer_id=customer("tea", 3), placement="app_home", size=5)
    answer = decide.sync(client=client, body=body)
    assert isinstance(answer, models.DecisionAnswer)
    assert [shown.rank for shown in answer.propositions] == [1, 2, 3, 4, 5]
    first = answer.propositions[0]
    assert first.product_id.startswith("tea-")
    assert isinstance(first.price, models.Money)
    assert (first.price.amount_minor, first.price.currency) == (250, "EUR")


def test_error_is_read_as_a_typed_problem(generated: str, client: Any) -> None:
    models, decide = import_module(f"{generated}.models"), import_module(f"{generated}.api.decisions.decide")
    answer = decide.sync(client=client, body=models.DecisionRequest(anonymous_id="dev-1", placement="attic"))
    assert isinstance(answer, models.Problem)
    assert (answer.status, answer.code, answer.pointer) == (422, "unknown_placement", "/placement")


def test_event_is_recorded(generated: str, client: Any) -> None:
    new_id = uuid4().hex
    models, record = import_module(f"{generated}.models"), import_module(f"{generated}.api.events.record_events")
    row = {
        "id": new_id,
        "type": "view_item",
        "time": "2026-10-01T10:00:00Z",
        "anonymous_id": new_id,
        "product_id": product("tea", 1),
    }
    answer = record.sync(client=client, body=models.EventBatch(events=[models.EventRow.from_dict(row)]))
    assert isinstance(answer, models.EventResults)
    assert [(one.id, str(one.status)) for one in answer.results] == [(new_id, "accepted")]
