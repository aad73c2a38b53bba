"""What processes take and leave on the machine: rights of files, limits of open files."""

import resource
import stat
import subprocess
from pathlib import Path

from tests.support.running import bare_environment, endcap, endcap_up
from tests.support.server import wait_until

FEW = 256


def test_everything_that_is_made_is_its_user_s_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with endcap_up(data_dir) as up:
        event = {"id": "1", "type": "search", "time": "2026-10-01T00:00:00Z", "customer_id": "900"}
        wait_until(lambda: up.send([event])[0]["status"] != "rejected", "the event is accepted")
        wait_until(lambda: any((data_dir / "history").rglob("*.parquet")), "the event is in the history")
        made = [data_dir, *data_dir.rglob("*")]
        names = {path.name for path in made}
        assert {"ledger.db", "up.lock", "history", "valkey.log", "endpoint.json"} <= names
        open_to_others = {
            str(path): oct(path.stat().st_mode) for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077
        }
    assert not open_to_others


def test_server_raises_its_limit_of_open_files_and_doctor_says_when_that_is_too_low(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def doctor(soft: int, hard: int) -> str:
        return subprocess.run(
            endcap("doctor", "--data-dir", str(tmp_path)),
            env=bare_environment(),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
            capture_output=True,
            text=True,
        ).stdout

    assert "ok   open files" in doctor(FEW, hard)
    assert f"FAIL open files: {FEW} are allowed; 1,200 are needed" in doctor(FEW, FEW)
