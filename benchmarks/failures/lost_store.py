"""What customers see while Valkey is frozen or killed under load, and how soon everything is whole again."""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep

from app.settings import Settings
from benchmarks.support.questions import known_customers
from benchmarks.support.servers import Service, endcap_up
from benchmarks.support.traffic import Answer, Traffic, traffic

BEFORE_S = 5.0
AFTER_S = 8.0
PER_S = 120.0


def freeze(settings: Settings, *, seconds: float) -> dict[str, object]:
    """Stops Valkey for a while with SIGSTOP, then lets it go on."""
    with (
        endcap_up(settings.data_dir) as service,
        traffic(service.server, known_customers(settings), per_s=PER_S) as seen,
    ):
        sleep(BEFORE_S)
        valkey = service.part("valkey-server")
        gone_at = monotonic()
        os.kill(valkey, signal.SIGSTOP)
        try:
            sleep(seconds)
        finally:
            back_at = monotonic()
            os.kill(valkey, signal.SIGCONT)
        sleep(AFTER_S)
        end_at = monotonic()
    return {
        "fault": f"SIGSTOP for {seconds:.0f} s",
        **recovery_facts(seen, gone_at=gone_at, back_at=back_at, end_at=end_at),
    }


def crash(settings: Settings) -> dict[str, object]:
    """Kills Valkey with -9; the supervisor starts it again, which counts as its return."""
    with (
        endcap_up(settings.data_dir) as service,
        traffic(service.server, known_customers(settings), per_s=PER_S) as seen,
    ):
        sleep(BEFORE_S)
        gone_at = monotonic()
        service.kill("valkey-server")
        back_at = _revived_at(service)
        sleep(AFTER_S)
        end_at = monotonic()
    return {"fault": "kill -9", **recovery_facts(seen, gone_at=gone_at, back_at=back_at, end_at=end_at)}


def _revived_at(service: Service) -> float:
    """When the supervisor noted the death; the new process starts at that instant."""
    deadline = monotonic() + 30
    while monotonic() < deadline:
        if any(line.get("part") == "valkey" for line in service.log_lines()):
            return monotonic()
        sleep(0.01)
    raise RuntimeError(f"Valkey was not started again: {Path(service.log_path).read_text()[-2000:]}")


def recovery_facts(seen: Traffic, *, gone_at: float, back_at: float, end_at: float) -> dict[str, object]:
    """What the answers say of the time without the store and of the return."""
    gone, after = seen.between(gone_at, back_at), seen.between(back_at, end_at)
    across = [answer for answer in list(seen.answers) if answer.sent_at < gone_at < answer.answered_at]
    everything = seen.between(0, end_at)
    return {
        "requests": len(everything),
        "status": dict(Counter(str(answer.status) for answer in everything)),
        "gone_s": round(back_at - gone_at, 2),
        "while_gone": _gone_facts(gone, gone_at),
        "in_flight_when_it_went": {"requests": len(across), "max_ms": _max_ms(across)},
        "after_return": _return_facts(after, back_at),
        "max_ms_of_all": _max_ms(everything),
    }


def _gone_facts(gone: Sequence[Answer], gone_at: float) -> dict[str, object]:
    decisions = [answer for answer in gone if answer.is_decision]
    unflagged = [answer for answer in decisions if not answer.lacks_store]
    return {
        "decisions": len(decisions),
        "decision_ms": _quantiles_ms(decisions),
        "event_ms": _quantiles_ms([answer for answer in gone if not answer.is_decision]),
        "slowest": _slowest(gone, gone_at),
        "flags": dict(Counter(flag for answer in decisions for flag in answer.degraded)),
        "decisions_not_flagged": len(unflagged),
        "last_not_flagged_sent_after_ms": [round((answer.sent_at - gone_at) * 1000, 1) for answer in unflagged[-3:]],
        "events": dict(Counter(answer.event_status for answer in gone if not answer.is_decision)),
    }


def _slowest(answers: Sequence[Answer], since_at: float) -> list[dict[str, object]]:
    """The three slowest answers: the path, when (seconds after `since_at`) and how long it took."""
    slowest = sorted(answers, key=lambda answer: -answer.taken_s)[:3]
    return [
        {"path": one.path, "sent_s": round(one.sent_at - since_at, 3), "ms": round(one.taken_s * 1000, 1)}
        for one in slowest
    ]


def _return_facts(after: Sequence[Answer], back_at: float) -> dict[str, object]:
    decisions = sorted((answer for answer in after if answer.is_decision), key=lambda answer: answer.answered_at)
    whole = [answer.answered_at - back_at for answer in decisions if not answer.lacks_store]
    flagged = [answer.answered_at - back_at for answer in decisions if answer.lacks_store]
    accepted = [answer.answered_at - back_at for answer in after if answer.event_status == "accepted"]
    return {
        "first_whole_decision_s": round(whole[0], 3) if whole else None,
        "last_flagged_decision_s": round(flagged[-1], 3) if flagged else 0.0,
        "first_accepted_event_s": round(min(accepted), 3) if accepted else None,
        "max_ms": _max_ms(after),
    }


def _max_ms(answers: Sequence[Answer]) -> float | None:
    return round(max(answer.taken_s for answer in answers) * 1000, 1) if answers else None


def _quantiles_ms(answers: Sequence[Answer]) -> dict[str, float]:
    """Median, p99 and maximum; nothing for no answers."""
    taken = sorted(answer.taken_s * 1000 for answer in answers)
    percentiles = {"p50": 0.5, "p99": 0.99, "max": 1.0} if taken else {}
    return {name: round(taken[int(share * (len(taken) - 1))], 1) for name, share in percentiles.items()}
