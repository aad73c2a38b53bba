"""The metrics that decisions write: sums that are right, and stages timed in one decision of sixteen."""

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
