"""Imports that the API took, one folder each: what is wanted, the file, and what became of it.

Whoever works on a job holds its lock, which the kernel frees when that process dies: so a job without an outcome whose
lock is free was cut off. A job waits by waiting for the locks of all before it.
"""

import fcntl
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from time import time
from typing import IO

import orjson

from app.domain import JsonObject
from app.errors import EndcapError
from app.files import replace_durably, turn

KEPT_COUNT = 100
"""Outcomes of so many jobs are kept."""
MAX_WAITING_COUNT = 5
"""Jobs that are worked on or wait; each waiting one is a process of some 40 MB."""
JOB_ID = r"[0-9]{8,12}"
INCOMING = ".incoming-"
STALE_S = 86_400.0
REQUEST, OUTCOME, BEGUN, LOCK, FILES = "request.json", "outcome.json", "begun", "lock", "file"
QUEUED, RUNNING, INTERRUPTED = "queued", "running", "interrupted"


class QueueFull(EndcapError):
    """So many imports wait that no more are taken."""

    code = "import_queue_full"


class ImportInterrupted(EndcapError):
    """Whoever worked on it ended before it was done."""

    code = "import_interrupted"


class Job:
    """One of them, by its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def job_id(self) -> str:
        """Its number, by which jobs take turns."""
        return self.folder.name

    def request(self) -> JsonObject:
        """What is wanted."""
        found: JsonObject = orjson.loads((self.folder / REQUEST).read_bytes())
        return found

    def file(self) -> Path:
        """The file that came with it, under its own name."""
        return self.folder / FILES / str(self.request()["file"])

    def is_held(self) -> bool:
        """Whether somebody works on it or waits to."""
        try:
            with (self.folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def outcome(self) -> JsonObject:
        """Its `status` and, once it has ended, all that became of it."""
        # Looked at first: who ends writes the outcome and then lets go.
        if self.is_held():
            return {"status": RUNNING if (self.folder / BEGUN).exists() else QUEUED}
        try:
            found: JsonObject = orjson.loads((self.folder / OUTCOME).read_bytes())
        except FileNotFoundError:
            return {"status": INTERRUPTED}
        return found

    def wait_where_begun(self) -> None:
        """Returns once nobody works on it; at once where it waits for its turn."""
        if (self.folder / BEGUN).exists():
            with suppress(FileNotFoundError), (self.folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)

    def begin(self) -> None:
        """Returns once every job before this one has ended; the caller holds this one."""
        for other in sorted(self.folder.parent.glob("[0-9]*")):
            if other.name < self.folder.name:
                with suppress(FileNotFoundError), (other / LOCK).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_SH)
        (self.folder / BEGUN).touch()

    def end(self, outcome: Mapping[str, object]) -> None:
        """Keeps what became of it."""
        replace_durably(self.folder / OUTCOME, orjson.dumps(outcome, default=str))

    def drop_file(self) -> None:
        """Deletes the file that came with it."""
        rmtree(self.folder / FILES, ignore_errors=True)


class Jobs:
    """The jobs below a folder, of whatever process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, job_id: str) -> Job | None:
        """The job of this id, while it is kept."""
        # Whatever is no number may be no name of a folder either, or one that leads elsewhere.
        if re.fullmatch(JOB_ID, job_id) is None:
            return None
        job = Job(self._folder / job_id)
        return job if (job.folder / REQUEST).exists() else None

    def check_room(self) -> None:
        """Raises QueueFull where as many wait as may."""
        waiting = sum(job.is_held() for job in self.all())
        if waiting >= MAX_WAITING_COUNT:
            raise QueueFull(f"{waiting} imports are worked on or wait; send the file again in a minute")

    def incoming(self, name: str) -> Path:
        """Where a file may be written that is to come with a job."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{INCOMING}{name}"

    @contextmanager
    def added(self, request: Mapping[str, object], file: Path | None) -> Iterator[tuple[Job, IO[bytes]]]:
        """A new job and its lock, held: whoever is to work on it inherits that. Raises QueueFull.

        The file goes into its folder. Where the block raises there is no job.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with turn(self._folder / LOCK), ExitStack() as undo:
            self.check_room()
            self.sweep()
            number = max((int(job.job_id) for job in self.all()), default=0) + 1
            job = Job(self._folder / f"{number:08}")
            job.folder.mkdir()
            undo.callback(rmtree, job.folder, ignore_errors=True)
            lock = undo.enter_context((job.folder / LOCK).open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file is not None:
                (job.folder / FILES).mkdir()
                file.rename(job.folder / FILES / str(request["file"]))
            replace_durably(job.folder / REQUEST, orjson.dumps(request))
            yield job, lock
            undo.pop_all()
            lock.close()

    def all(self) -> list[Job]:
        """Those that are kept, the oldest first."""
        return [Job(path) for path in sorted(self._folder.glob("[0-9]*"))]

    def sweep(self, *, stale_s: float = STALE_S) -> None:
        """Deletes what nobody needs any more: old outcomes, files of jobs and uploads that were cut off."""
        ended = [job for job in self.all() if not job.is_held()]
        for job in ended:
            job.drop_file()
        for job in ended[:-KEPT_COUNT]:
            rmtree(job.folder, ignore_errors=True)
        for path in self._folder.glob(f"{INCOMING}*"):
            with suppress(FileNotFoundError):
                if time() - path.stat().st_mtime > stale_s:
                    path.unlink()
