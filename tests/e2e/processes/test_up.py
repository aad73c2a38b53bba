"""Starting and ending `endcap up`: it picks up where it ended, leaves nothing behind and refuses in one clear line."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import text

from app.composition.stores import opened_ledger
from app.settings import Settings
from app.stores.redis.server.embedded import find_running
from tests.e2e.stores.test_failures import times_in_history, view_of
from tests.support.running import bare_environment, command_of, endcap, endcap_up
from tests.support.server import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")


def test_second_start_picks_up_and_interrupt_leaves_no_process(tmp_path: Path) -> None:
    data_dir, event = tmp_path / "var", view_of("p1", anonymous_id="device")
    for expected in ("accepted", "duplicate"):
        with endcap_up(data_dir) as up:
            parts = up.parts()
            assert parts.keys() == {"valkey-server", "serve", "worker"}
            assert [row["status"] for row in up.send([event])] == [expected]
            wait_until(lambda: times_in_history(data_dir, {event["id"]}), "the event is in the history")
            assert up.interrupt() == 0
        assert not any(command_of(pid) for pid in parts.values())
    assert times_in_history(data_dir, {event["id"]}) == {event["id"]: 1}


def test_standard_error_holds_json_lines_only_and_warns_once_of_a_misspelt_variable(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with (
        out.open("w") as stdout,
        err.open("w") as stderr,
        endcap_up(tmp_path / "var", stdout=stdout, stderr=stderr, environment={"ENDCAP_CURENCY": "USD"}) as up,
    ):
        address = str(up.client.base_url).rstrip("/")
        assert up.send([view_of("p1", anonymous_id="device")])[0]["status"] == "accepted"
        assert up.interrupt() == 0
    started, consent = out.read_text().splitlines()
    assert started == f"Endcap on {address}/docs"
    assert consent.startswith("Consent upstream: your own systems send only customers who gave theirs")
    lines = [json.loads(line) for line in err.read_text().splitlines()]
    assert {line["logger"].split(".")[0] for line in lines} == {"app", "uvicorn"}
    warnings = [line["message"] for line in lines if line["level"] == "WARNING"]
    assert warnings == ["unknown variable ENDCAP_CURENCY: did you mean ENDCAP_CURRENCY?"]


def test_another_app_in_the_current_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('not Endcap')")
    with endcap_up(tmp_path / "var", folder=tmp_path) as up:
        assert up.parts().keys() == {"valkey-server", "serve", "worker"}


def test_copied_data_directory_does_not_use_the_original_s_valkey(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up:
        shutil.copytree(up.data_dir, tmp_path / "copy")
        assert find_running(up.data_dir) is not None
        assert find_running(tmp_path / "copy") is None


def test_valkey_killed_while_it_rewrites_its_file_comes_back(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up, redis.Redis.from_url(up.valkey_url()) as client:
        client.mset({f"key-{number}": "value" for number in range(1000)})
        client.config_set("rdb-key-save-delay", 20_000)  # microseconds a key: the forked writer outlives its parent
        client.bgrewriteaof()
        # Until then it would notice the death of its parent, and end by itself.
        wait_until(lambda: client.info("persistence")["current_save_keys_processed"] > 0, "the fork has reported")
        up.kill("valkey-server")
        wait_until(lambda: "valkey-server" in up.parts(), "Valkey runs again")
        wait_until(lambda: up.send([view_of("p1", anonymous_id="device")])[0]["status"] == "accepted", "events go in")


def test_part_killed_again_and_again_is_always_started_again(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up:
        for _ in range(6):
            wait_until(lambda: "worker" in up.parts(), "the worker runs")
            up.kill("worker")
        wait_until(lambda: "worker" in up.parts(), "the worker runs again")
        assert up.client.get("/healthz").status_code == 200


def test_killed_supervisor_leaves_no_api_and_its_successor_starts(tmp_path: Path) -> None:
    data_dir, event = tmp_path / "var", view_of("p1", anonymous_id="device")
    with endcap_up(data_dir) as up:
        parts = up.parts()
        assert up.send([event])[0]["status"] == "accepted"
        up.process.kill()
        wait_until(lambda: not any(command_of(parts[name]) for name in ("serve", "worker")), "the parts ended")
    with endcap_up(data_dir) as up:
        assert up.send([event])[0]["status"] == "duplicate"
        assert up.parts().keys() == {"valkey-server", "serve", "worker"}
        assert not command_of(parts["valkey-server"])


def refusal(*words: str, command: str = "up", **environment: str) -> str:
    """What the command says on standard error when it refuses to start, with status 2."""
    done = subprocess.run(
        endcap(command, *words), env=bare_environment() | environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done
    return done.stderr


def assert_one_line(shown: str, *facts: str) -> None:
    """One line from endcap that names each of the facts."""
    assert shown.startswith("endcap: "), shown
    assert shown.count("\n") == 1, shown
    assert all(fact in shown for fact in facts), shown


def test_taken_port_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_line(refusal("--port", port, "--data-dir", str(tmp_path / "var")), port, "--port")


def test_unusable_data_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for unusable in (tmp_path / "file", tmp_path / "file" / "var", tmp_path / "missing" / "var"):
        assert_one_line(refusal("--port", "0", "--data-dir", str(unusable)), str(unusable), "--data-dir")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable to root")
def test_unwritable_data_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o555)
    assert_one_line(refusal("--port", "0", "--data-dir", str(tmp_path / "var")), str(tmp_path / "var"), "--data-dir")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_open_address_without_api_key_is_refused_in_one_line(tmp_path: Path, host: str) -> None:
    refused = refusal("--host", host, "--port", "0", "--data-dir", str(tmp_path / "var"))
    assert_one_line(refused, host, "ENDCAP_API_KEY")


def test_short_api_key_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = refusal("--data-dir", str(tmp_path / "var"), ENDCAP_API_KEY=uuid4().hex[:4])
    assert_one_line(refused, "ENDCAP_API_KEY")


def test_second_up_on_one_data_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up:
        assert_one_line(refusal("--port", "0", "--data-dir", str(up.data_dir)), str(up.data_dir), "in use")


def test_ledger_of_a_newer_endcap_is_refused_in_one_line(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    with opened_ledger(settings) as ledger:
        ledger.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    words = ("--port", "0", "--data-dir", str(settings.data_dir))
    refused = refusal(*words, command="serve", ENDCAP_REDIS_URL="redis://127.0.0.1:1/0")
    assert_one_line(refused, "schema 9999", "newer Endcap")
