"""One fault from the start to the verdict: a copy of the data directory, a whole `endcap up`, the load, the audit."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from sqlalchemy import select

from app.errors import BadSetting, StoreUnavailable
from app.settings import Settings
from app.stores.sql.database.engine import Ledger, open_ledger
from benchmarks.chaos import verdict
from benchmarks.chaos.clock import own_clock
from benchmarks.chaos.faults import FAULTS, Fault, Rig, small_disk
from benchmarks.chaos.load import Load, running
from benchmarks.chaos.shop import open_shop
from benchmarks.chaos.stalls import Stalls, watched_machine
from benchmarks.failures.lost_events import in_history
from benchmarks.support import machine
from benchmarks.support.postgres import own_postgres
from benchmarks.support.servers import endcap_up

RATE_PER_S = 60.0
API_PROCESSES = 2
BEFORE_S, AFTER_S = 5.0, 15.0
ANSWERS_TIMEOUT_S = 300.0
"""So long what clients kept may take to be answered once the fault is over."""
HISTORY_TIMEOUT_S = 90.0
ROOM_BYTES = 256 * 2**20
CHECK_S = 0.5
NO_NEEDS = Fault(lambda *_: [], 0.0)


def run_fault(
    name: str, data_dir: Path, *, seconds: float | None = None, rate_per_s: float = RATE_PER_S, after_s: float = AFTER_S
) -> dict[str, object]:
    """The figures of one fault; `broken` names the promises that did not hold, `skipped` why it could not be made."""
    fault = FAULTS[name]
    seconds = fault.seconds if seconds is None else seconds
    print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    try:
        with rig_for(fault, data_dir) as rig:
            found = _measured(fault, rig, seconds=seconds, rate_per_s=rate_per_s, after_s=after_s)
    except BadSetting as error:
        return {"fault": name, "skipped": error.message}
    return {"fault": name, "seconds": seconds, **machine.load(), **found}


@contextmanager
def rig_for(fault: Fault, data_dir: Path, *, workers: int = API_PROCESSES) -> Iterator[Rig]:
    """A service on a copy of the data directory, with what the fault needs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="endcap-chaos-")))
        if fault.needs_disk:
            size_bytes = sum(file.stat().st_size for file in data_dir.rglob("*") if file.is_file())
            folder = stack.enter_context(small_disk(folder / "disk", size_bytes=2 * size_bytes + ROOM_BYTES))
        shutil.copytree(data_dir, folder / "var", ignore=shutil.ignore_patterns("up.lock"))
        environment: dict[str, str] = {}
        postgres = stack.enter_context(own_postgres()) if fault.needs_postgres else None
        if postgres is not None:
            environment["ENDCAP_DATABASE_URL"] = postgres.url
        clock = own_clock(folder) if fault.needs_clock else None
        if clock is not None:
            environment |= clock.environment
        service = stack.enter_context(endcap_up(folder / "var", environment, workers=workers))
        yield Rig(service, clock, postgres)


def settings_of(rig: Rig) -> Settings:
    """The settings under which the rig's service runs, as far as they say where its data is."""
    given = {} if rig.postgres is None else {"database_url": rig.postgres.url}
    return Settings.load(data_dir=rig.service.data_dir, **given)


def _measured(fault: Fault, rig: Rig, *, seconds: float, rate_per_s: float, after_s: float) -> dict[str, object]:
    settings = settings_of(rig)
    address = f"http://127.0.0.1:{rig.service.server.port}"
    shop = open_shop(address, settings)
    load = Load(rig.service.server.port, shop, rate_per_s=rate_per_s)
    with watched_machine() as stalls, running(load):
        start_at = monotonic()
        sleep(BEFORE_S)
        broken_at = monotonic()
        away = fault.run(rig, seconds)
        healed_at = monotonic()
        sleep(after_s)
        load.rate_per_s = 0.0
        end_at = monotonic()
        _wait(lambda: not load.answers.waiting, ANSWERS_TIMEOUT_S)
        answered_at = monotonic()
        _wait(lambda: not in_history(settings, load.answers.accepted)["lost"], HISTORY_TIMEOUT_S)
    times = verdict.Times(start_at, broken_at, healed_at, end_at, away)
    return {
        **_facts(fault, load, times, stalls, settings),
        "kept_were_answered_after_s": round(answered_at - end_at, 1),
        "deaths": _deaths(rig),
    }


def _facts(fault: Fault, load: Load, times: verdict.Times, stalls: Stalls, settings: Settings) -> dict[str, object]:
    answers = load.answers
    with closing(open_ledger(settings.ledger_url)) as ledger:
        # SQLite's files, moved away and back, may be opened in vain while another process opens them.
        _wait(lambda: _is_readable(ledger), verdict.WHOLE_AFTER_S)
        found: dict[str, dict[str, object]] = {
            "decisions": verdict.decision_facts(answers, times, fault, stalls),
            "events": verdict.event_facts(answers, settings),
            "money": verdict.money_facts(answers, ledger, load.shop.campaign_id),
            "whole_again_s": dict(verdict.recovery_facts(answers, times)),
        }
    return {
        "broken": verdict.broken_promises(found),
        **found,
        "answers_that_were_none": dict(answers.reasons),
        "stalls": stalls.facts(),
    }


def _is_readable(ledger: Ledger) -> bool:
    try:
        ledger.read(lambda connection: connection.execute(select(1)))
    except StoreUnavailable:
        return False
    return True


def _wait(is_done: Callable[[], bool], timeout_s: float) -> None:
    """Returns once it is done, or after a while: then the figures show what is missing."""
    deadline = monotonic() + timeout_s
    while not is_done() and monotonic() < deadline:
        sleep(CHECK_S)


def _deaths(rig: Rig) -> dict[str, int]:
    """How often each part died, of the fault or by itself."""
    lines = rig.service.log_lines()
    return dict(Counter(str(line["part"]) for line in lines if str(line.get("message", "")).startswith("part died")))
