"""What is seen from outside: sums that are right, stages timed in one decision of sixteen, and logs in one form."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from prometheus_client import generate_latest

from app.telemetry import TIMED_ONE_IN, Metrics, forget_gauges, no_timer, stage_timer


def test_counter_adds_up_per_value_of_its_label() -> None:
    metrics = Metrics()
    for value, count in [("similar", 60), ("popular", 10), ("similar", 3)]:
        metrics.candidates.add(value, count)
    metrics.degraded.add("overload")
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert "# TYPE endcap_candidates_total counter" in lines
    assert 'endcap_candidates_total{source="similar"} 63.0' in lines
    assert 'endcap_candidates_total{source="popular"} 10.0' in lines
    assert 'endcap_degraded_total{why="overload"} 1.0' in lines


def test_one_decision_in_sixteen_has_its_stages_timed() -> None:
    metrics = Metrics()
    timers = [stage_timer(metrics) for _ in range(3 * TIMED_ONE_IN)]
    timed = [timer for timer in timers if timer is not no_timer]
    assert len(timed) == 3
    for timer in timers:
        timer.end("slate")
    assert 'endcap_stage_seconds_count{stage="slate"} 3.0' in generate_latest(metrics.registry).decode()


NOISY = """
import logging, threading, warnings
from app.telemetry import log_to_stderr

log_to_stderr("INFO")
logging.getLogger("app.worker").info("ours", extra={"detail": "a"})
logging.getLogger("uvicorn.error").info("the server's")
logging.getLogger("alembic.runtime").info("chatter")
logging.getLogger("alembic.runtime").warning("a library's warning")
warnings.warn("Python's warning")
thread = threading.Thread(target=lambda: 1 / 0, name="division")
thread.start()
thread.join()
"""


def test_everything_on_standard_error_is_a_json_line_without_library_chatter() -> None:
    ended = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    ours, server, library, python, thread = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (ours["level"], ours["logger"], ours["message"], ours["detail"]) == ("INFO", "app.worker", "ours", "a")
    assert (server["message"], library["message"]) == ("the server's", "a library's warning")
    assert "Python's warning" in python["message"]
    assert (thread["message"], thread["thread_name"]) == ("thread failed", "division")
    assert "ZeroDivisionError" in thread["error"]


SHARING = """
import asyncio, sys
from pathlib import Path
from app.telemetry import Metrics, share_metrics

folder, name, version, up = sys.argv[1:]
share_metrics(Path(folder), name)
metrics = Metrics(Path(folder))
metrics.decisions.add("full", 2)
metrics.events.labels("accepted").inc(3)
metrics.model.serve("older")
metrics.model.serve(version)
metrics.store_up.set(float(up))
print(asyncio.run(metrics.exposition()).decode())
"""


def shared(folder: Path, name: str, *, version: str = "v1", store_up: int = 1) -> list[str]:
    """What a process of this name shows after it counted two decisions and three events; then it ends."""
    words = [sys.executable, "-c", SHARING, str(folder), name, version, str(store_up)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def test_processes_that_share_a_folder_show_one_sum_and_the_worst_state(tmp_path: Path) -> None:
    shared(tmp_path, "serve-0", version="v1", store_up=0)
    shown = shared(tmp_path, "serve-1", version="v2")
    assert 'endcap_decisions_total{fallback_level="full"} 4.0' in shown
    assert 'endcap_events_total{status="accepted"} 6.0' in shown
    assert "endcap_store_up 0.0" in shown
    assert {line for line in shown if line.startswith("endcap_model_info")} == {
        'endcap_model_info{version="v1"} 1.0',
        'endcap_model_info{version="v2"} 1.0',
    }


def test_process_that_follows_another_counts_on_but_knows_nothing_of_its_state(tmp_path: Path) -> None:
    shared(tmp_path, "serve-0", version="v1", store_up=0)
    forget_gauges(tmp_path, "serve-0")
    shown = shared(tmp_path, "serve-0", version="v2")
    assert 'endcap_decisions_total{fallback_level="full"} 4.0' in shown
    assert "endcap_store_up 1.0" in shown
    assert [line for line in shown if line.startswith("endcap_model_info")] == ['endcap_model_info{version="v2"} 1.0']


def test_tasks_of_the_event_loop_are_counted(tmp_path: Path) -> None:
    async def counted() -> float | None:
        metrics = Metrics()
        more = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(5)]
        await metrics.flush()
        for task in more:
            task.cancel()
        return metrics.registry.get_sample_value("endcap_asyncio_tasks")

    assert asyncio.run(counted()) == 6
