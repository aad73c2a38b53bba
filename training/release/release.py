"""From a written bundle to the live one: the gate's checks, their result, its record, and the pointer."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

from app.decision.warm_up import warm_up
from app.errors import BundleRefused, ReleaseRefused, StoreUnavailable
from app.model.bundle import Bundle, load_bundle
from app.ports import Progress
from app.settings import Settings
from training.metrics.rule_comparison import NEEDED_HITS, comparison_of, ranks_by_rule
from training.queries.evaluation_queries import OPTIONS
from training.release.comparison import SEED, unfair_advantage
from training.release.gate import (
    MIN_CUSTOMERS,
    GateCheck,
    check_catalogue,
    check_coverage,
    check_features,
    check_quality,
    check_rules,
    check_schema,
    check_scores,
)
from training.release.parity import feature_differences, origin_of
from training.release.publish import check_there, current_version_or_none, note_release, point_to
from training.release.replay import NOTHING_HELD_OUT, held_out_queries, replay


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's checks of one bundle, and whether it was published: `replaced` was live before."""

    version: str
    replaced: str | None
    _: KW_ONLY
    checks: Sequence[GateCheck]
    reason: str | None
    is_readable: bool
    seconds: float

    @property
    def is_ok(self) -> bool:
        """True when nothing speaks against the bundle."""
        return all(check.is_ok for check in self.checks)

    @property
    def is_published(self) -> bool:
        """True when it passed, or there was a reason to publish it all the same; unreadable ones never are."""
        return self.is_readable and (self.is_ok or self.reason is not None)

    def refusal(self) -> ReleaseRefused | None:
        """Why the bundle is not published and what to do, in one line; None when it is."""
        if self.is_published:
            return None
        against = "; ".join(f"{check.name}: {check.detail}" for check in self.checks if not check.is_ok)
        remedy = f"`endcap publish {self.version} --force --reason TEXT` publishes it all the same"
        return ReleaseRefused(
            f"bundle {self.version} is not published: {against}; " + (remedy if self.is_readable else "train again")
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """Per check its name, ok or FAIL, and what was seen."""
        return [(one.name, "ok" if one.is_ok else "FAIL", one.detail) for one in self.checks]

    def to_dict(self) -> dict[str, object]:
        """The result in plain JSON types."""
        return {
            "model_version": self.version,
            "published": self.is_published,
            "replaced": self.replaced,
            "reason": self.reason,
            "checks": [check.to_dict() for check in self.checks],
            "seconds": round(self.seconds, 2),
        }


def release(
    settings: Settings, redis_url: str, version: str, *, reason: str | None = None, now: datetime, progress: Progress
) -> GateResult:
    """Publishes `version` if nothing speaks against it, or for `reason` although something does.

    The manifest keeps the checks and the reason. Cost: seconds. Raises BundleMissing where there is no such version.
    """
    bundles_dir = settings.bundles_dir
    check_there(bundles_dir, version)
    started = perf_counter()
    live = current_version_or_none(bundles_dir)
    checks, is_readable = _checked(settings, redis_url, version, live, progress)
    result = GateResult(
        version, live, checks=checks, reason=reason, is_readable=is_readable, seconds=perf_counter() - started
    )
    if result.is_published:
        # The record before the pointer: no bundle is live without its checks and reason.
        note_release(bundles_dir, version, _record(result, now))
        point_to(bundles_dir, version)
    return result


def _checked(
    settings: Settings, redis_url: str, version: str, live_version: str | None, progress: Progress
) -> tuple[list[GateCheck], bool]:
    """All checks, and whether the bundle can be read at all."""
    try:
        candidate = load_bundle(settings.bundles_dir / version)
        # As a server does before it serves: what is published must not be refused there.
        warm_up(candidate, OPTIONS, placement="gate", now=datetime.now(UTC))
    except BundleRefused as error:
        return [GateCheck("readable", is_ok=False, detail=error.message)], False
    live, note = _live(settings, version, live_version)
    if live is None:
        checks = [
            check_scores(replay(candidate, NOTHING_HELD_OUT, lambda *_: None)),
            GateCheck("live", is_ok=True, detail=note),
        ]
    else:
        checks = _compared(settings, candidate, live, progress)
    # Where the live bundle ranks by a rule, this is the first that ranks by what it learned, as without one.
    is_first = live is None or ranks_by_rule(live.manifest)
    if version != live_version and (is_first or ranks_by_rule(candidate.manifest)):
        checks += check_rules(comparison_of(candidate.manifest))
    return [*checks, _features(settings, redis_url, progress)], True


def _live(settings: Settings, version: str, live_version: str | None) -> tuple[Bundle | None, str]:
    """The bundle to compare with, or why there is none."""
    if live_version is None:
        return None, "no live bundle to compare with"
    if live_version == version:
        return None, "this bundle is live already"
    try:
        return load_bundle(settings.bundles_dir / live_version), ""
    except BundleRefused as error:
        return None, f"nothing to compare with: {error.message}"


def _compared(
    settings: Settings,
    candidate: Bundle,
    live: Bundle,
    progress: Progress,
) -> list[GateCheck]:
    progress("held-out queries", 0, 1)
    queries = held_out_queries(settings, seed=SEED)
    progress("held-out queries", 1, 1)
    ours = replay(candidate, queries, partial(progress, "replay the candidate"))
    theirs = replay(live, queries, partial(progress, "replay the live bundle"))
    # A rule ranks because so few show nothing; a live bundle that has learned from them would seem better.
    needed = NEEDED_HITS if ranks_by_rule(candidate.manifest) else MIN_CUSTOMERS
    return [
        check_schema(list(candidate.catalogue.attributes), list(live.catalogue.attributes)),
        check_catalogue(candidate.catalogue.product_ids, live.catalogue.product_ids),
        check_scores(ours),
        *check_quality(ours, theirs, note=unfair_advantage(queries, candidate, live), needed=needed),
        check_coverage(ours, theirs, needed=needed),
    ]


def _features(settings: Settings, redis_url: str, progress: Progress) -> GateCheck:
    progress("compare features", 0, 1)
    try:
        origin = origin_of(redis_url)
        if origin is None:
            return GateCheck(
                "features", is_ok=False, detail="none were ever written to this Redis; run `endcap features`"
            )
        differences = feature_differences(settings, redis_url, origin, seed=SEED)
    except StoreUnavailable as error:
        return GateCheck("features", is_ok=False, detail=error.message)
    progress("compare features", 1, 1)
    return check_features(differences, origin=f"the history as of {origin.as_of:%Y-%m-%d %H:%M:%S}")


def _record(result: GateResult, now: datetime) -> dict[str, object]:
    """What the manifest keeps of a release."""
    checks = {check.name: {"ok": check.is_ok, "detail": check.detail} for check in result.checks}
    return {
        "published_at": now.isoformat(),
        "replaced": result.replaced,
        "forced": not result.is_ok,
        "reason": result.reason,
        "gate": checks,
    }
