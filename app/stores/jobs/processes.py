"""Starts what works on jobs, each in a process of its own: an import may take gigabytes and minutes."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread

import orjson

from app.domain import JsonObject
from app.errors import StoreUnavailable
from app.settings import Settings
from app.stores.jobs.folder import Job, Jobs

LIST_TIMEOUT_S = 60.0


class JobProcesses:
    """Jobs of one data directory, as an API process starts and reads them; they outlive it."""

    def __init__(self, settings: Settings, command: Sequence[str]) -> None:
        self.jobs = Jobs(settings.uploads_dir)
        self._settings = settings
        self._command = command
        self._listing = Lock()

    def start(self, request: Mapping[str, object], file: Path | None = None) -> Job:
        """A job that is being worked on, or waits for those before it; raises QueueFull and StoreUnavailable."""
        # What the API runs with counts, wherever it has it from.
        settings = self._settings
        with_settings = {**request, "currency": settings.currency, "time_zone": settings.time_zone}
        try:
            with self.jobs.added(with_settings, file) as (job, lock):
                process = subprocess.Popen(
                    [*self._command, "imports", "work", str(job.folder), "--data-dir", str(settings.data_dir)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(lock.fileno(),),
                    # An end of the API is none of the import.
                    start_new_session=True,
                )
        except OSError as error:
            raise StoreUnavailable(f"{settings.uploads_dir} cannot be used ({error.strerror})") from error
        # Somebody has to take note of its end.
        Thread(target=process.wait, daemon=True, name=f"job {job.job_id}").start()
        return job

    def imports(self) -> list[JsonObject]:
        """What came in, as `endcap imports` lists it; that reads the history, which is not for this process to load."""
        command = [*self._command, "imports", "--json", "--data-dir", str(self._settings.data_dir)]
        with self._listing:
            ended = subprocess.run(command, capture_output=True, timeout=LIST_TIMEOUT_S, check=False)
        if ended.returncode:
            raise StoreUnavailable(f"`endcap imports` failed: {ended.stderr.decode(errors='replace')[-500:]}")
        found: list[JsonObject] = orjson.loads(ended.stdout)["imports"]
        return found
