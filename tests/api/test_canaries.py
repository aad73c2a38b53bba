"""Who it is, and what only they know, stays out of logs, metrics and errors: canaries in every field."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain import Scope
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from tests.support.running import endcap_serve

CANARIES = {
    "customer": "canary.person@example.org",
    "code": "CANA-RYCA-NARY-CODE",
    "key": "endcap_canary-key-that-nobody-made",
    "token": "canary-token-5f3a",
    "device": "canary-device-77",
}
SECRET_KEY = "canary-bootstrap-key-of-decent-length"
LINE = {"line_id": "1", "product_id": "p1", "quantity": 1, "amount_minor": 2000}


@dataclass(slots=True)
class Seen:
    """What came out of the service: its log file, its metrics and the bodies of its errors."""

    log: Path
    metrics: str = ""
    errors: list[str] = field(default_factory=list)

    def places(self) -> Iterator[tuple[str, str]]:
        """Each place with its text."""
        yield "log", self.log.read_text()
        yield "metrics", self.metrics
        yield from (("error", body) for body in self.errors)


def bodies(who: str) -> list[dict[str, Any]]:
    """Bodies in the shape of each door, sound and unsound, with this in the place of a person, code or device."""
    now = datetime.now(UTC).isoformat()
    event = {"id": who, "type": "search", "time": now, "customer_id": who, "session_id": who}
    basket = {"customer_id": who, "codes": [CANARIES["code"]], "lines": [LINE], "order_id": "1", "store_id": who}
    return [
        {"customer_id": who, "placement": "app_home", "context": {"store_id": who}},
        {"customer_id": who, "anonymous_id": CANARIES["device"], "placement": "app_home", "token": CANARIES["token"]},
        {"events": [event, event | {"time": who}, event | {"type": who}, {"mail": who}, who]},
        basket,
        basket | {"wallet": True},
        basket | {"reservation_id": "res_none", "decision_id": "none"},
        {"offer_id": "none", "customer_id": who},
        {"offer_id": "none", "customer_ids": [who], "code": CANARIES["code"]},
        {"tier": "gold"},
        {"tier": 5, "mail": who},
        {"customer_id": [who], "codes": who, "lines": who},
    ]


def ask_everything(address: str, key: str, seen: Seen) -> None:
    """Every operation of the OpenAPI document with every body, and callers without a right key."""
    with httpx.Client(base_url=address, timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
        ask_as(client, seen)


def ask_as(client: httpx.Client, seen: Seen) -> None:
    """The same with this client."""
    document = client.get("/openapi.json").json()
    operations = [(path, method) for path, methods in document["paths"].items() for method in methods]
    for number, (path, method) in enumerate(operations):
        who = CANARIES["customer"]
        # Whoever is erased is refused from then on: somebody else, so that the others' requests go on.
        named = f"gone.{who}" if method == "delete" else who
        address = path.replace("{customer_id}", named).replace("{", "").replace("}", "")
        for position, body in enumerate(bodies(who) if method in {"post", "put", "patch"} else [None]):
            headers = {"Idempotency-Key": f"{number}-{position}-{len(seen.errors)}", "User-Agent": who}
            answer = client.request(method, address, json=body, headers=headers)
            seen.errors += [without_named_codes(answer.text)] if answer.status_code >= 400 else rejected_rows(answer)
        wrong = {"Authorization": f"Bearer {CANARIES['key']}", "Cookie": CANARIES["token"]}
        seen.errors.append(client.request(method, path, headers=wrong).text)
    seen.metrics += client.get("/metrics").text


def without_named_codes(problem: str) -> str:
    """The problem without the codes in `refused`: a till that sent several has to know which is meant."""
    return re.sub(r'"refused":\[{"code":"[^"]*"', "", problem)


def rejected_rows(answer: httpx.Response) -> list[str]:
    """What is said of events that were not accepted; their own ids come back so that the sender finds them."""
    if answer.status_code != 202:
        return []
    results = answer.json().get("results", [])
    return [json.dumps(row | {"id": None}) for row in results if row["status"] == "rejected"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Seen:
    """What came out while all went well, while Redis was gone, and while the ledger was broken."""
    folder = tmp_path_factory.mktemp("canaries")
    seen = Seen(folder / "log.txt")
    ledger = open_ledger(Settings.load(data_dir=folder / "var").ledger_url)
    (folder / "var").mkdir()
    upgrade(ledger)
    _, key = create_key(ledger, "shop", [Scope.ADMIN], per_second=None, now=datetime.now(UTC))
    options: dict[str, Any] = {"api_key": SECRET_KEY, "log_level": "DEBUG", "guesses_per_customer_per_minute": 10**6}
    with seen.log.open("w") as log:
        for redis_url in (valkey_server, f"redis://127.0.0.1:{free_port()}/0"):
            with endcap_serve(folder / "var", redis_url, stderr=log, **options) as address:
                ask_everything(address, key, seen)
        with endcap_serve(folder / "var", valkey_server, stderr=log, **options) as address:
            with ledger.engine.begin() as connection:
                for table in ("coupons", "campaigns"):
                    connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_elsewhere")
                connection.exec_driver_sql(
                    "CREATE TRIGGER broken BEFORE INSERT ON memberships BEGIN SELECT RAISE(ABORT, 'broken'); END"
                )
            ask_everything(address, key, seen)
    ledger.close()
    CANARIES["own key"] = key
    return seen


def test_no_canary_is_seen_outside(seen: Seen) -> None:
    assert '"status": 500' in seen.log.read_text()
    assert any("store_unavailable" in body for body in seen.errors)
    sought = [*CANARIES.values(), SECRET_KEY]
    found = [(place, word, around(text, word)) for place, text in seen.places() for word in sought if word in text]
    assert not found, f"{len(found)} canaries: {found[:20]}"


def around(text: str, word: str) -> str:
    position = text.index(word)
    return text[max(0, position - 300) : position + 100]


def test_errors_show_nothing_of_the_inside(seen: Seen) -> None:
    inside = (
        "127.0.0.1",
        "sqlite",
        "sqlalchemy",
        "Traceback",
        "/tmp/",
        "Connection",
        "ConnectionRefused",
        "Errno",
        ".py",
        "no such table",
    )
    found = [(word, body[:300]) for body in seen.errors for word in inside if word in body]
    assert not found, f"{len(found)}: {found[:20]}"
