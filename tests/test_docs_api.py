"""What the pages say of the API, compared with its OpenAPI document: scopes, fields of the examples."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.repository import ROOT
from tests.test_docs import DOCS, rows_below, table_rows

Document = dict[str, Any]
SCOPE = "x-endcap-scope"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The OpenAPI document; nothing is started for it."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("docs"))
    return create_app(settings, "redis://127.0.0.1:1/0").openapi()


def operations(document: Document) -> dict[tuple[str, str], Document]:
    """Every operation with a scope, by its method in capitals and its path."""
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if SCOPE in operation
    }


def test_every_operation_is_listed_below_the_scope_that_it_needs(document: Document) -> None:
    # A path alone stands for all methods that are not listed by name.
    below = {
        (start, method): cells[0].strip("`")
        for cells in rows_below("access.md", "Scopes")
        for method, start in re.findall(r"`(?:([A-Z]+) )?(/v1/[^`]*)`", cells[2])
    }
    for (method, path), operation in operations(document).items():
        listed = [one for one in below if is_below(path, one[0]) and one[1] in ("", method)]
        nearest = max(listed, key=lambda one: (len(one[0]), one[1]), default=None)
        assert nearest is not None, f"{method} {path} is listed nowhere"
        assert below[nearest] == operation[SCOPE], f"{method} {path}"


def is_below(path: str, start: str) -> bool:
    """True for the path itself and those that go on from it."""
    return path == start or path.startswith(f"{start}/")


def test_every_request_about_coupons_places_and_customers_is_listed_with_its_scope(document: Document) -> None:
    of_places = dict(requests_of(DOCS / "places.md"))
    assert of_places
    listed = dict(requests_of(DOCS / "coupons.md")) | of_places | dict(requests_of(DOCS / "privacy.md"))
    elsewhere = {"/v1/decisions", "/v1/decisions/{decision_id}"}
    elsewhere.add("/v1/customers/{customer_id}/replenishment")
    stated = {
        one: operation[SCOPE]
        for one, operation in operations(document).items()
        if one[1] not in elsewhere and (operation[SCOPE] != "import" or one in of_places)
    }
    assert listed == stated


def requests_of(page: Path) -> list[tuple[tuple[str, str], str]]:
    """Method, path and scope of the requests in a page's table; a row may hold several methods, or last parts."""
    found = []
    for cells in table_rows(page):
        methods = re.findall(r"\b(GET|POST|PUT|DELETE)\b", cells[0])
        paths = [path.split("?")[0] for path in re.findall(r"(/v1/[^` ]*)`", cells[0])]
        others = [name for name in re.findall(r"`([\w.]+)`", cells[0]) if name not in methods]
        paths += [f"{path.rsplit('/', 1)[0]}/{name}" for path in paths for name in others]
        found += [((method, path), cells[1]) for method in methods for path in paths]
    return found


SHOWN = re.compile(r"^```(\w*)\n(\{.*?)\n```$", re.MULTILINE | re.DOTALL)
"""A block that shows a document."""
EXAMPLES = [
    ("README.md", "post", "/v1/decisions", 200),
    ("README.md", "post", "/v1/events", 202),
    ("docs/replenishment.md", "get", "/v1/customers/{customer_id}/replenishment", 200),
]


@pytest.mark.parametrize(("page", "method", "path", "status"), EXAMPLES)
def test_example_has_the_fields_of_the_answer(
    document: Document, page: str, method: str, path: str, status: int
) -> None:
    answer = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    shown = [json.loads(text.replace(", …", "")) for _, text in SHOWN.findall((ROOT / page).read_text())]
    faults = [list(faults_of(one, answer, document)) for one in shown]
    assert [] in faults, f"{page} should show an answer of {path}: {faults}"


def faults_of(value: Any, schema: Document, document: Document) -> Iterator[str]:
    """What an example lacks of its schema, or has beyond it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        known = [one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None)]
        yield from faults_of(value, known[0], document) if known else ["null"]
    elif isinstance(value, dict) and "properties" in schema:
        fields = schema["properties"]
        yield from (f"no {name}" for name in schema.get("required", ()) if name not in value)
        yield from (f"unknown {name}" for name in value if name not in fields)
        for name in fields.keys() & value.keys():
            yield from (f"{name}: {fault}" for fault in faults_of(value[name], fields[name], document))
    elif isinstance(value, list):
        for one in value:
            yield from faults_of(one, schema["items"], document)


def test_example_that_lacks_a_field_is_found_out(document: Document) -> None:
    schema = {"properties": {"price": {"type": "null"}, "currency": {"type": "string"}}, "required": ["currency"]}
    assert list(faults_of({"price": None, "unit": "cent"}, schema, document)) == ["no currency", "unknown unit"]
