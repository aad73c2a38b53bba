"""What must hold whatever fails, computed from the notes of the clients, the history and the ledger."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from app.settings import Settings
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.campaigns.campaigns import find_campaign
from app.stores.sql.database.engine import Ledger
from benchmarks.chaos.answers import Answers, Decision, Write, first_whole
from benchmarks.chaos.faults import Fault, Window
from benchmarks.chaos.stalls import Stalls
from benchmarks.failures.lost_events import in_history

ANSWERED_RATIO = 0.999
P99_MS = 200.0
WHOLE_AFTER_S = 10.0
WHOLE_COUNTS = {"decisions": 20, "events": 5, "orders": 5}
"""So many in a row must be whole before a kind counts as whole again."""


@dataclass(frozen=True, slots=True)
class Times:
    """When the load and the fault began and ended; `away`: when Redis cannot have answered."""

    start_at: float
    broken_at: float
    healed_at: float
    end_at: float
    away: Sequence[Window] = ()


def decision_facts(answers: Answers, times: Times, fault: Fault, stalls: Stalls) -> dict[str, object]:
    """How many were answered, how fast, and what they said."""
    decisions = answers.decisions
    answered = [one for one in decisions if one.status == 200]
    meanwhile = [one for one in answered if one.due_at >= times.broken_at and one.answered_at <= times.healed_at]
    return {
        "decisions": len(decisions),
        "answered_ratio": round(len(answered) / max(1, len(decisions)), 5),
        "repeated_after_a_cut": sum(one.was_repeated for one in decisions),
        "latency_ms": quantiles_ms([one.answered_at - one.due_at for one in answered]),
        "latency_ms_without_stalls": quantiles_ms([own_s(one, stalls) for one in answered]),
        "latency_ms_without_stalls_meanwhile": quantiles_ms([own_s(one, stalls) for one in meanwhile]),
        "flags_meanwhile": dict(Counter(flag for one in meanwhile for flag in one.flags)),
        "flagged_meanwhile_without_reason": sum(one.is_flagged and not one.flags & fault.flags for one in meanwhile),
        "flagged_before": sum(one.is_flagged for one in answered if one.answered_at < times.broken_at),
        "proven_fresh": sum(one.is_fresh is True for one in answered),
        "not_fresh_and_flagged": sum(one.is_fresh is False and one.is_flagged for one in answered),
        "not_fresh_and_not_flagged": sum(one.is_fresh is False and not one.is_flagged for one in answered),
        "while_redis_was_away": len(_within(answered, times.away)),
        "of_these_not_flagged": sum(not one.is_flagged for one in _within(answered, times.away)),
    }


def own_s(one: Decision | Write, stalls: Stalls) -> float:
    """From when it was due to the answer, less the time in which the machine stood still."""
    return one.answered_at - one.due_at - stalls.within(one.due_at, one.answered_at)


def quantiles_ms(taken_s: Sequence[float]) -> dict[str, float]:
    """Median, p99 and maximum; nothing for none."""
    taken = sorted(taken_s)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0} if taken else {}
    return {name: round(taken[int(share * (len(taken) - 1))] * 1000, 1) for name, share in shares.items()}


def _within(decisions: Sequence[Decision], windows: Sequence[Window]) -> list[Decision]:
    """Those that were sent and answered within one of these."""
    return [one for one in decisions if any(one.due_at >= start and one.answered_at <= end for start, end in windows)]


def event_facts(answers: Answers, settings: Settings) -> dict[str, object]:
    """What became of the events; those that were not accepted may be in the history, but once at most."""
    accepted = in_history(settings, answers.accepted)
    others = in_history(settings, answers.sent - answers.accepted)
    return {
        "events": len(answers.events),
        "done_at_once": sum(one.result == "done" for one in answers.events),
        "refused": sum(one.result == "refused" for one in answers.events),
        "accepted": len(answers.accepted),
        "lost": accepted["lost"],
        "doubled": accepted["doubled"] + others["doubled"],  # type: ignore[operator]
        "without_an_answer_in_the_end": len(answers.waiting & answers.sent),
    }


def money_facts(answers: Answers, ledger: Ledger, campaign_id: str) -> dict[str, object]:
    """What the tills saw against what the ledger has."""
    seen_minor = sum(orjson.loads(answer)["discount_minor"] for answer in answers.redeemed.values())
    campaign = ledger.read(lambda connection: find_campaign(connection, campaign_id))
    wrong = [f"{one.what} {one.subject}: {one.found}, not {one.expected}" for one in ledger.read(reconcile)]
    return {
        "orders": len(answers.orders),
        "done_at_once": sum(one.result == "done" for one in answers.orders),
        "redeemed": len(answers.redeemed),
        "redeemed_minor": seen_minor,
        "cents_off": abs(campaign.spent_minor + campaign.held_minor - seen_minor),
        "accounts_that_do_not_add_up": wrong[:5],
        "contradictions": answers.contradictions[:5],
        "without_an_answer_in_the_end": len(answers.waiting - answers.sent),
    }


def recovery_facts(answers: Answers, times: Times) -> dict[str, float | None]:
    """Seconds from the end of the fault to answers that lack nothing."""
    taken = {
        "decisions": [(one.due_at, one.answered_at, one.is_whole) for one in answers.decisions],
        "events": [(one.due_at, one.answered_at, one.result == "done") for one in answers.events],
        "orders": [(one.due_at, one.answered_at, one.result == "done") for one in answers.orders],
    }
    return {
        kind: first_whole(taken[kind], since_at=times.healed_at, count=count) for kind, count in WHOLE_COUNTS.items()
    }


def broken_promises(found: dict[str, dict[str, object]]) -> list[str]:
    """Which of the promises do not hold, each with its figure; none where all do."""
    decisions, events, money, recovery = (found[name] for name in ("decisions", "events", "money", "whole_again_s"))
    p99_ms = decisions["latency_ms_without_stalls"]["p99"]  # type: ignore[index]
    checks = {
        "answered": decisions["answered_ratio"] >= ANSWERED_RATIO,  # type: ignore[operator]
        "p99": p99_ms <= P99_MS,
        "flagged": not decisions["not_fresh_and_not_flagged"] and not decisions["of_these_not_flagged"],
        "events": not events["lost"] and not events["doubled"] and not events["without_an_answer_in_the_end"],
        "money": not any(money[name] for name in ("cents_off", "accounts_that_do_not_add_up", "contradictions")),
        "orders": not money["without_an_answer_in_the_end"],
        "whole again": all(after is not None and after <= WHOLE_AFTER_S for after in recovery.values()),  # type: ignore[operator]
    }
    return [name for name, holds in checks.items() if not holds]
