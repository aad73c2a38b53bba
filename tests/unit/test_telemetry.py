"""What is seen from outside: sums that are right, stages timed in one decision of sixteen, and logs in one form."""

import json
import subprocess
import sys

from prometheus_client import generate_latest

from app.telemetry import TIMED_ONE_IN, Metrics, no_timer, stage_timer


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
