"""Several processes behind one port: one that dies costs its own calls, an exchange costs none, and they agree."""

import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.e2e.stores.test_failures import copied_world
from tests.support.running import Up, bare_environment, endcap
from tests.support.server import wait_until
from tests.support.world import World

CLIENTS = 4
QUESTION = {"placement": "app_home", "customer_id": "nobody", "size": 3}


@pytest.fixture(scope="module")
def up(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The small retailer behind two processes."""
    data_dir = tmp_path_factory.mktemp("processes") / "var"
    # On a busy machine Redis may need longer than its 30 ms, and then says nothing of any decision.
    environment = {"ENDCAP_API_PROCESS_COUNT": "2", "ENDCAP_FEATURE_TIMEOUT_MS": "2000"}
    with copied_world(trained_world, data_dir, environment=environment) as running:
        wait_until(lambda: len(ready_pids(running)) == 2, "both answer")
        yield running


def ready_pids(up: Up) -> list[int]:
    """The processes that have the socket open for connections."""
    return [pid for pid in up.pids_of("serve") if b"\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def questioned(up: Up) -> Iterator[Counter[str]]:
    """What became of the questions that some clients, each on a kept connection, ask while the block runs."""
    found: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=up.client.base_url, timeout=20) as client:
            while not over.is_set():
                try:
                    found[str(client.post("/v1/decisions", json=QUESTION).status_code)] += 1
                except httpx.TransportError as error:
                    found[type(error).__name__] += 1

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: found["200"] > 50, "questions are answered")
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def sample(up: Up, name: str) -> float:
    """A metric, by whichever process answers a new connection."""
    text = httpx.get(f"{up.client.base_url}/metrics", timeout=20).text
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, flags=re.MULTILINE)
    return float(value)


def test_answer_of_one_process_is_known_to_every_other_at_once(up: Up) -> None:
    for _ in range(20):
        decision_id = up.client.post("/v1/decisions", json=QUESTION).json()["decision_id"]
        for _ in range(4):
            # On a connection of its own, which either process may take.
            found = httpx.get(f"{up.client.base_url}/v1/decisions/{decision_id}", timeout=10)
            assert found.status_code == 200, found.text


def test_killed_process_costs_its_calls_alone_and_is_replaced(up: Up) -> None:
    before, restarts = up.pids_of("serve"), 'endcap_process_restarts_total{part="serve"}'
    restarted = sample(up, restarts)
    with questioned(up) as found:
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: sample(up, restarts) == restarted + 1, "it was started again")
        answered = found["200"]
        wait_until(lambda: found["200"] > answered + 200, "the questions go on")
    assert sum(found.values()) - found["200"] <= CLIENTS, found
    assert before[1] in up.pids_of("serve")


def test_exchange_of_all_processes_costs_not_one_call(up: Up) -> None:
    before = set(up.pids_of("serve"))
    with questioned(up) as found:
        subprocess.run(endcap("reload", "--data-dir", str(up.data_dir)), env=bare_environment(), check=True)
        wait_until(lambda: len(set(up.pids_of("serve")) - before) == 2, "there are new ones")
        wait_until(lambda: not before & set(up.pids_of("serve")), "the old ones ended")
    assert found.keys() == {"200"}


def test_ending_process_answers_on_a_kept_connection_and_says_that_it_closes_it(up: Up) -> None:
    with closing(HTTPConnection(up.client.base_url.host, up.client.base_url.port, timeout=20)) as connection:

        def is_closed_by_answer() -> bool:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            return answer.headers["connection"] == "close"

        assert not is_closed_by_answer()
        for pid in up.pids_of("serve"):
            os.kill(pid, signal.SIGTERM)
        # A server that closed it without a word would make the next request fail.
        wait_until(is_closed_by_answer, "the answer says so")


def test_metrics_add_up_whoever_answers_and_survive_who_counted(up: Up) -> None:
    name = 'endcap_request_seconds_count{endpoint="/v1/decisions/{decision_id}",status="404"}'
    for number in range(20):
        found = httpx.get(f"{up.client.base_url}/v1/decisions/unknown-{number}", timeout=20)
        assert found.status_code == 404
    counted = sample(up, name)
    assert counted >= 20
    for pid in up.pids_of("serve"):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in up.pids_of("serve"), "it is gone")  # noqa: B023 - called before the next round
        assert sample(up, name) == counted
    assert sample(up, 'endcap_processes_wanted{part="serve"}') == 2
    wait_until(lambda: sample(up, 'endcap_processes{part="serve"}') == 2, "both run again")


def test_reload_where_nothing_runs_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        endcap("reload", "--data-dir", str(tmp_path)), env=bare_environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == f"endcap: no `endcap up` runs on {tmp_path}; start it, or name another --data-dir\n"
