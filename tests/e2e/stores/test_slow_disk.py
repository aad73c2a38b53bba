"""A disk that takes long to sync: what is accepted waits for it, decisions do not."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic
from uuid import uuid4

from tests.e2e.stores.test_failures import STORE_FLAGS, copied_world, decide, view_of
from tests.support.repository import skip_unless_ci
from tests.support.running import Up
from tests.support.world import END, World, customer, product

SYNC_S = 0.05
SLOW_SYNC = r"""
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int late(long call, int file) {
    struct timespec wait = {0, 50 * 1000 * 1000};
    nanosleep(&wait, 0);
    return syscall(call, file);
}

int fsync(int file) { return late(SYS_fsync, file); }
int fdatasync(int file) { return late(SYS_fdatasync, file); }
"""


def slow_sync(folder: Path) -> dict[str, str]:
    """The environment in which every sync of a file takes SYNC_S longer."""
    compiler = shutil.which("cc")
    if compiler is None:
        skip_unless_ci("no C compiler on this machine (Debian, Ubuntu: apt-get install gcc libc6-dev)")
    library = folder / "slow_sync.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=SLOW_SYNC, text=True, check=True)
    return {"LD_PRELOAD": str(library)}


def send_until(stop: Event, up: Up) -> list[float]:
    """Sends one event after the other; how many seconds each took until it was accepted."""
    taken: list[float] = []
    while not stop.is_set():
        begun = monotonic()
        assert up.send([view_of(product("tea", 1), anonymous_id=uuid4().hex)])[0]["status"] == "accepted"
        taken.append(monotonic() - begun)
    return taken


def test_decisions_have_their_features_while_accepted_events_wait_for_the_disk(
    trained_world: World, tmp_path: Path
) -> None:
    known = {"customer_id": customer("coffee", 1), "context": {"now": END.isoformat()}}
    with copied_world(trained_world, tmp_path / "var", environment=slow_sync(tmp_path)) as up:
        stop = Event()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send_until, stop, up)
            try:
                answers = [decide(up, **known) for _ in range(300)]
            finally:
                stop.set()
            taken = sending.result()
    assert min(taken) >= SYNC_S
    without = [answer["degraded"] for answer in answers if STORE_FLAGS & set(answer["degraded"])]
    # A few may be late for other reasons, on a machine that does more than this.
    assert len(without) <= 15, f"{len(without)} of 300"
