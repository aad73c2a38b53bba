"""One `endcap` executable on one data directory, used as anybody uses it: its commands, and what it serves."""

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

COMMAND_TIMEOUT_S = 3600.0
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Executable:
    """`path` is the command; `folder` holds its data directory `data`, and is where its processes run.

    `settings` are the environment variables that it is to see.
    """

    path: Path
    folder: Path
    settings: Mapping[str, str]

    @property
    def data_dir(self) -> Path:
        """Everything that the executable keeps."""
        return self.folder / "data"

    def run(self, *words: str) -> Any:
        """What a command reports with `--json`; raises SystemExit with its last words when it fails."""
        command = [str(self.path), *words, "--data-dir", str(self.data_dir), "--json"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"endcap {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    @contextmanager
    def up(self) -> Iterator[str]:
        """The address of `endcap up` on a free loopback port, once it serves a bundle; ended by process id."""
        port = _free_port()
        command = [str(self.path), "up", "--port", str(port), "--data-dir", str(self.data_dir)]
        log_path = self.folder / "up.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait_until_ready(port, process, log_path)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)

    def _environment(self) -> dict[str, str]:
        """This process's environment without what would lead the executable elsewhere."""
        foreign = ("ENDCAP_", "MLFLOW_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | dict(self.settings)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        sleep(0.1)
    raise SystemExit(f"endcap up did not start: {log_path.read_text(errors='replace')[-2000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Politely; for certain, with the parts that it started, when that takes too long."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        parts = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (process.pid, *map(int, parts)):
            os.kill(pid, signal.SIGKILL)
        process.wait()
