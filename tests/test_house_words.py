"""The words on the doors are those of the field: a newcomer learns retail, not a dialect."""

import re

import pytest

from tests.support.repository import ROOT, tracked

DENIED = {
    "no_timer, StageTimer": r"no_laps|laps?(?=\b|_)|Laps",
    "fallback level, FallbackChain, warm_up": r"rungs?|[Ll]adders?|exercise_rungs",
    "OfferIndex": r"[Ss]hel(?:f|ves)(?!_life)",
    "predict, predicted, target items": r"foret(?:ell|old)\w*",
    "evaluation queries": r"[Aa]sked",
    "evaluate, MetricEstimate, condition check": r"[Jj]udge[ds]?|[Jj]udgements?|[Jj]udging",
    "EvaluationResults, GateCheck, HealthCheck": r"Findings?|findings",
    "report sections, baselines, cold customers, new products": r"[Cc]hapters?|[Rr]ivals?|[Ss]trangers?|[Nn]ewcomers?",
    "what it is: body, trace, formatted": r"[Tt]old|[Uu]ntold",
    "views, search space, hyperparameters, bundle contents": r"Looks|Walk|Recipe|PartsInUse",
    "replenishment answer, purchase interval": r"[Rr]hythms?",
    "stacking, CandidateCoupon, PricedLines, Application": r"Contender|contenders?|Sheet(?:\b|_of)",
    "basket-independent eligibility": r"[Pp]resence",
    "MixedSlate, placed, re-ranking": r"Offered|[Ss]eated|[Aa]rrangements?",
    "issue, revoke, release_claims": r"hand(?:_out|outs?)|take_back|give_back",
    "IdempotentRequest, idempotent": r"Once(?=\()|keyed",
    "price guarantee": r"[Pp]romised_by|Promised?(?=\()",
    "counter, boundary middleware, fast path": r"Tally|tally",
    "reference model, constraint, race, workload, crash test": r"stampede|survivors",
    "fix": r"mend\w*",
    "rebuilt, again": r"anew",
    "compared with, next to, also": r"beside",
    "is duplicated": r"comes? twice",
    "indefinitely": r"for ever|for_ever",
}
"""Words that a newcomer would have to learn, by what the field says instead."""

PLACES = (
    *("app", "training", "feature_repo", "benchmarks", "tests"),
    *("docs", "README.md", "CONTRIBUTING.md", "SECURITY.md"),
)
LISTS = {"tests/test_house_words.py", "benchmarks/behaviour/renames.py"}
"""Files that list such words on purpose."""


@pytest.mark.parametrize("instead", DENIED)
def test_only_standard_words_are_on_the_doors(instead: str) -> None:
    word = re.compile(rf"(?<![A-Za-z])(?:{DENIED[instead]})(?![A-Za-z])")
    hits = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked(*PLACES)
        if str(path) not in LISTS
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if word.search(line)
    ]
    assert not hits, f"{len(hits)} lines; say {instead}: " + "\n".join(hits[:40])
