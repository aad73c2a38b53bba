"""An append-only file that ends in half an entry, or in rubbish: loaded by itself, or repaired by one command."""

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.e2e.processes.test_up import assert_one_line, refusal
from tests.e2e.stores.test_failures import times_in_history, view_of
from tests.support.running import bare_environment, endcap, endcap_up
from tests.support.server import wait_until


def stored_event(data_dir: Path) -> dict[str, Any]:
    """An event that an installation took, which then ended."""
    event = view_of("p1", anonymous_id=uuid4().hex)
    with endcap_up(data_dir) as up:
        assert up.send([event])[0]["status"] == "accepted"
        wait_until(lambda: times_in_history(data_dir, {event["id"]}), "the event is in the history")
        assert up.interrupt() == 0
    return event


def append(data_dir: Path, rubbish: bytes) -> Path:
    """The append-only file, with this at its end."""
    (file,) = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as growing:
        growing.write(rubbish)
    return file


def test_half_an_entry_at_the_end_is_dropped_and_its_bytes_are_logged(tmp_path: Path) -> None:
    event = stored_event(tmp_path / "var")
    half = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$500\r\nxx"
    append(tmp_path / "var", half)
    with (tmp_path / "err").open("w") as stderr, endcap_up(tmp_path / "var", stderr=stderr) as up:
        assert up.send([event])[0]["status"] == "duplicate"
    logged = [json.loads(line) for line in (tmp_path / "err").read_text().splitlines()]
    assert [line["bytes"] for line in logged if "half an entry" in line["message"]] == [len(half)]


def test_rubbish_at_the_end_is_cut_off_by_doctor_which_keeps_a_copy(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    event = stored_event(data_dir)
    file = append(data_dir, bytes(300))
    broken = file.read_bytes()
    refused = refusal("--port", "0", "--data-dir", str(data_dir))
    assert_one_line(refused, "its last 300 bytes", "endcap doctor --repair")
    assert "FAIL redis" in doctor(data_dir)
    assert "endcap doctor --repair" in doctor(data_dir)
    assert "300 bytes" in doctor(data_dir, "--repair")
    assert "FAIL redis" not in doctor(data_dir)
    (copy,) = (data_dir / "valkey").glob("*.broken")
    assert (copy.read_bytes(), file.read_bytes()) == (broken, broken[:-300])
    assert "nothing to repair" in doctor(data_dir, "--repair")
    with endcap_up(data_dir) as up:
        assert_one_line(doctor(data_dir, "--repair"), "in use by another `endcap up`")
        assert up.send([event])[0]["status"] == "duplicate"


def doctor(data_dir: Path, *words: str) -> str:
    """What `endcap doctor` prints."""
    command = endcap("doctor", *words, "--data-dir", str(data_dir))
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
