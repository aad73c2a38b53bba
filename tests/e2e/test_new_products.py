"""A product imported while servers run is recommended without training, to those who like where it belongs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.e2e.stores.test_failures import copied_world, decide, view_of
from tests.support.running import Up, bare_environment, endcap
from tests.support.server import wait_until
from tests.support.world import END, World, customer, product

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

DEADLINE_S = 5.0
"""A bound for a busy machine; benchmarks/speed/cold_start.py measures how long it takes."""
HEAD = "product_id,name,department,price,recommendable\n"


@pytest.fixture(scope="module")
def up(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The small retailer under `endcap up`."""
    with copied_world(trained_world, tmp_path_factory.mktemp("new-products") / "var") as running:
        yield running


def import_products(up: Up, tmp_path: Path, *rows: str) -> None:
    """`endcap import --products`, as a user runs it next to the server."""
    path = tmp_path / "new.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
    run(up, "import", "--products", str(path))


def run(up: Up, *words: str) -> dict[str, Any]:
    environment = bare_environment() | {"ENDCAP_REDIS_URL": up.valkey_url()}
    command = [*endcap(*words), "--data-dir", str(up.data_dir), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def shown(answer: dict[str, Any]) -> list[str]:
    return [proposition["product_id"] for proposition in answer["propositions"]]


def ask(up: Up, customer_id: str) -> dict[str, Any]:
    return decide(up, customer_id=customer_id, context={"now": END.isoformat()})


def test_imported_product_is_recommended_to_customers_of_its_category(up: Up, tmp_path: Path) -> None:
    tea, coffee = customer("tea", 1), customer("coffee", 1)
    before, others = ask(up, tea), ask(up, coffee)
    import_products(up, tmp_path, "tea-fresh,First flush,TEA,7.50,yes")
    wait_until(lambda: "tea-fresh" in shown(ask(up, tea)), "the new tea is shown", timeout_s=DEADLINE_S)
    after = ask(up, tea)
    last = after["propositions"][-1]
    assert last["product_id"] == "tea-fresh"
    assert last["reasons"] == [{"code": "new", "text": "New in TEA, which you like"}]
    assert (last["name"], last["expected_value"]["currency"]) == ("First flush", "EUR")
    assert shown(after)[:-1] == shown(before)[:-1]
    assert after["model_version"] == before["model_version"]
    assert shown(ask(up, coffee)) == shown(others)


def test_visitor_who_looks_at_the_category_is_shown_it_too(up: Up, tmp_path: Path) -> None:
    import_products(up, tmp_path, "coffee-fresh,New harvest,COFFEE,9.00,yes")
    visitor = uuid4().hex
    assert [row["status"] for row in up.send([view_of(product("coffee", 2), anonymous_id=visitor)])] == ["accepted"]
    wait_until(
        lambda: "coffee-fresh" in shown(decide(up, anonymous_id=visitor)), "the coffee is shown", timeout_s=DEADLINE_S
    )
    assert "coffee-fresh" not in shown(decide(up, anonymous_id=uuid4().hex))


def test_file_of_requests_sees_the_new_product(up: Up, tmp_path: Path) -> None:
    import_products(up, tmp_path, "tea-later,Second flush,TEA,7.50,yes")
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    body = {
        "customer_id": customer("tea", 2),
        "placement": "app_home",
        "filters": {"department": ["TEA"]},
        "size": 100,
        "context": {"now": END.isoformat()},
    }
    requests.write_bytes(orjson.dumps(body))
    run(up, "recommend", "--requests", str(requests), "--output", str(answers))
    assert "tea-later" in shown(orjson.loads(answers.read_bytes()))


def test_withdrawn_product_is_shown_no_more(up: Up, tmp_path: Path) -> None:
    staple = product("tea", 4)
    assert shown(ask(up, customer("tea", 4)))[0] == staple
    import_products(up, tmp_path, f"{staple},The {staple},TEA,2.50,no")
    wait_until(
        lambda: staple not in shown(ask(up, customer("tea", 4))), "the product is withdrawn", timeout_s=DEADLINE_S
    )
    import_products(up, tmp_path, f"{staple},The {staple},TEA,2.50,yes")
    wait_until(lambda: shown(ask(up, customer("tea", 4)))[0] == staple, "it is back", timeout_s=DEADLINE_S)
