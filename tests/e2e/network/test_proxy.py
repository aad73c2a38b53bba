"""The example of a proxy, as HAProxy runs it: TLS outside, health and metrics inside, sizes bounded."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from tests.e2e.network.certificates import private_certificates
from tests.support.repository import ROOT, skip_unless_ci
from tests.support.server import serving, wait_until


@pytest.fixture
def proxy(tmp_path: Path, valkey: str) -> Iterator[httpx.Client]:
    """A client that trusts the proxy's authority; the service behind has no model, so its health is what is checked."""
    program = shutil.which("haproxy")
    if program is None:
        skip_unless_ci("no HAProxy on this machine (Debian, Ubuntu: apt-get install haproxy)")
    made = private_certificates(tmp_path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    plain, secure = free_port(), free_port()
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    for given, ours in ((":80", f"127.0.0.1:{plain}"), (":443", f"127.0.0.1:{secure}"), ("/readyz", "/healthz")):
        assert given in text
        text = text.replace(given, ours)
    (tmp_path / "haproxy.cfg").write_text(text)
    with serving(Settings.load(data_dir=tmp_path), valkey) as api:
        address = f"{api.base_url.host}:{api.base_url.port}"
        environment = os.environ | {"ENDCAP_CERTIFICATE": str(chain), "ENDCAP_ADDRESS": address}
        command = [program, "-f", str(tmp_path / "haproxy.cfg")]
        checked = subprocess.run([*command, "-c"], env=environment, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        assert "WARNING" not in checked.stderr, checked.stderr
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        trust = ssl.create_default_context(cafile=str(made.authority))
        try:
            with httpx.Client(base_url=f"https://127.0.0.1:{secure}", verify=trust) as client:
                client.headers["X-Plain"] = f"http://127.0.0.1:{plain}"
                wait_until(lambda: answers(client), "the proxy answers")
                yield client
        finally:
            running.terminate()
            running.wait(20)


def answers(client: httpx.Client) -> bool:
    """True once a request reaches the service."""
    try:
        return client.get("/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


def test_proxy_of_the_example_adds_tls_and_keeps_inside_what_belongs_there(proxy: httpx.Client) -> None:
    answer = proxy.post("/v1/decisions", json={"customer_id": "900", "placement": "app_home"})
    assert answer.status_code == 200
    assert "strict-transport-security" in answer.headers
    for path in ("/metrics", "/healthz", "/readyz", "/attic"):
        assert proxy.get(path).status_code == 404
    assert proxy.get("/docs").status_code == 200
    large = proxy.post("/v1/events", content=b" " * 1_000_001, headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    moved = httpx.get(f"{proxy.headers['X-Plain']}/v1/decisions")
    assert (moved.status_code, moved.headers["location"][:8]) == (308, "https://")
