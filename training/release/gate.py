"""What may speak against serving a bundle: pure checks on two bundles and their answers to the same queries."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace

import numpy as np

from training.data.dataset import NEVER_ATTRIBUTES
from training.metrics.ranking import Wide, paired_interval
from training.metrics.rule_comparison import MIN_HITS, AgainstRules, RuleComparison
from training.release.replay import CUTOFF, Replay

NDCG_TOLERANCE = 0.001
"""A loss below that is not worth stopping a release for, however certain it is."""
MIN_CUSTOMERS = 20
"""The interval of fewer customers says nothing."""
MIN_COVERAGE_RATIO = 0.5
"""Other settings move coverage by a tenth; a bundle that shows everybody the same loses nearly all of it."""
MIN_OVERLAP_RATIO = 0.5
"""A catalogue changes by a few per cent a week; half of it gone is a broken import."""
# Well above the rounding of single precision, 6e-8 of a value.
MAX_FEATURE_DIFFERENCE = 1e-6
LISTED_COUNT = 3


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One check, whether the bundle passed it, what was seen, and the figures behind that."""

    name: str
    _: KW_ONLY
    is_ok: bool
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """The check in plain JSON types; a figure that is not finite is None."""
        figures = {name: float(value) if np.isfinite(value) else None for name, value in self.figures.items()}
        return asdict(self) | {"figures": figures}


def check_schema(attributes: Sequence[str], live_attributes: Sequence[str]) -> GateCheck:
    """Every attribute that callers filter by is still there, but for those that no bundle has any more."""
    lacking = set(live_attributes) - set(attributes) - set(NEVER_ATTRIBUTES)
    gone = [f"attribute {name!r} is gone" for name in sorted(lacking)]
    figures = {"attributes": len(attributes), "live_attributes": len(live_attributes)}
    detail = _some(gone) if gone else f"all {len(live_attributes)} attributes of the live bundle are there"
    return GateCheck("schema", is_ok=not gone, detail=detail, figures=figures)


def check_catalogue(candidate: Sequence[str], live: Sequence[str]) -> GateCheck:
    """The candidate still holds most products of the live bundle."""
    kept = len(set(candidate) & set(live))
    ratio = kept / max(len(live), 1)
    figures = {"products": len(candidate), "live_products": len(live), "overlap": ratio}
    detail = f"holds {kept:,} of the live bundle's {len(live):,} products, at least {MIN_OVERLAP_RATIO:.0%} required"
    return GateCheck("catalogue", is_ok=ratio >= MIN_OVERLAP_RATIO or not live, detail=detail, figures=figures)


def check_scores(replay: Replay) -> GateCheck:
    """Every query got finite scores, from every source."""
    figures = {"broken": len(replay.broken)}
    if replay.broken:
        shown = _some(sorted(set(replay.broken)))
        return GateCheck(
            "scores", is_ok=False, detail=f"{len(replay.broken):,} answers are broken: {shown}", figures=figures
        )
    return GateCheck("scores", is_ok=True, detail="all scores and probabilities are finite", figures=figures)


def check_quality(candidate: Replay, live: Replay, *, note: str = "", needed: int = MIN_CUSTOMERS) -> list[GateCheck]:
    """The candidate is not worse than the live bundle beyond noise, over all products and over new ones.

    Fewer than `needed` customers are not compared.
    """
    pairs = {"quality": (candidate.ndcg, live.ndcg), "discovery": (candidate.new_ndcg, live.new_ndcg)}
    return [
        _not_worse(name, *pair, note) if len(pair[0]) >= needed else _too_few(name, len(pair[0]), needed)
        for name, pair in pairs.items()
    ]


def check_rules(found: RuleComparison | None) -> list[GateCheck]:
    """What was learned is not worse than the best simple rule beyond noise, over all products and over new ones.

    A bundle that ranks by a rule itself passes, with the reason.
    """
    if found is None:
        detail = "not compared: this bundle's manifest holds no comparison with simple rules, `endcap train` makes one"
        return [GateCheck("simple_rules", is_ok=True, detail=detail)]
    if found.served is not None:
        figures = {"customers": found.customers, "queries": found.every.queries, "hits": found.every.hits}
        return [GateCheck("simple_rules", is_ok=True, detail=" ".join(found.notes()), figures=figures)]
    parts = {"simple_rules": found.every} | ({} if found.new is None else {"simple_rules_new": found.new})
    checks = [_not_below_rules(name, part) for name, part in parts.items()]
    worse = [check for check in checks if not check.is_ok]
    # What to do is said once, with the last of them.
    return [
        replace(check, detail=f"{check.detail}. {_advice(found)}") if check in worse[-1:] else check for check in checks
    ]


def check_coverage(candidate: Replay, live: Replay, *, needed: int = MIN_CUSTOMERS) -> GateCheck:
    """The candidate shows the same customers, at least so many, not far fewer distinct products."""
    if len(candidate.ndcg) < needed:
        return _too_few("coverage", len(candidate.ndcg), needed)
    ratio = candidate.shown_count / max(live.shown_count, 1)
    figures = {"products": candidate.shown_count, "live_products": live.shown_count, "ratio": ratio}
    detail = (
        f"shows {candidate.shown_count:,} distinct products, live {live.shown_count:,}, "
        f"at least {MIN_COVERAGE_RATIO:.0%} of that required"
    )
    return GateCheck("coverage", is_ok=ratio >= MIN_COVERAGE_RATIO, detail=detail, figures=figures)


def check_features(differences: Mapping[str, tuple[float, str]], *, origin: str) -> GateCheck:
    """Online and offline features agree; per customer the largest difference and the field it is in."""
    figures = {"customers": len(differences), "largest": max((size for size, _ in differences.values()), default=0.0)}
    # `not <=` instead of `>`, so that NaN differs as well.
    wrong = [name for size, name in differences.values() if not size <= MAX_FEATURE_DIFFERENCE]
    figures |= {"differing": len(wrong)}
    if not differences:
        return GateCheck("features", is_ok=True, detail="no customer to compare", figures=figures)
    if wrong:
        shown = f"{len(wrong):,} of {len(differences):,} customers differ ({_some(sorted(set(wrong)))})"
        return GateCheck(
            "features", is_ok=False, detail=f"{shown} from {origin}; run `endcap features`", figures=figures
        )
    return GateCheck(
        "features", is_ok=True, detail=f"{len(differences):,} customers as computed from {origin}", figures=figures
    )


def _not_worse(name: str, candidate: Wide, live: Wide, note: str) -> GateCheck:
    """Refused when the whole 95 % interval of the customers' differences lies below -NDCG_TOLERANCE."""
    mean, low, high = paired_interval(candidate - live)
    ours, theirs = float(candidate.mean()), float(live.mean())
    figures = {"customers": len(candidate), "ndcg": ours, "live_ndcg": theirs}
    figures |= {"difference": mean, "low": low, "high": high}
    shown = f"NDCG@{CUTOFF} {ours:.4f}, live {theirs:.4f}: {mean:+.4f} ({low:+.4f} to {high:+.4f})"
    return GateCheck(name, is_ok=high >= -NDCG_TOLERANCE, detail=f"{shown}; {note}" if note else shown, figures=figures)


def _advice(found: RuleComparison) -> str:
    return (
        "What is worse than a rule had too little to learn from, or wrong columns. "
        f"{found.history_in_words()}: see with `endcap import --preview FILE` that customer and time are the right "
        "columns, import older and further data, and train again"
    )


def _not_below_rules(name: str, part: AgainstRules) -> GateCheck:
    figures = {"queries": part.queries, "hits": part.hits, "ndcg": part.ndcg, "best_rule_ndcg": part.rules[part.best]}
    figures |= {"difference": part.difference, "low": part.low, "high": part.high}
    is_compared = part.hits >= MIN_HITS
    detail = part.in_words() if is_compared else f"not compared: {part.hits} queries with a hit, {MIN_HITS} needed"
    return GateCheck(name, is_ok=not part.is_worse, detail=detail, figures=figures)


def _too_few(name: str, count: int, needed: int) -> GateCheck:
    detail = f"not compared: {count} customers with a held-out basket, {needed} needed"
    return GateCheck(name, is_ok=True, detail=detail, figures={"customers": count})


def _some(shown: Sequence[str]) -> str:
    more = len(shown) - LISTED_COUNT
    return ", ".join(shown[:LISTED_COUNT]) + (f" and {more} more" if more > 0 else "")
