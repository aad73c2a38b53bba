"""The live bundle and those on trial: references that requests read once, swapped when others are published."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from app.domain import subject_of
from app.errors import BundleMissing, BundleRefused
from app.model.bundle import POINTER, Bundle, current_version, load_bundle
from app.model.memory import release_memory
from app.model.product_table import ProductTable, State
from app.model.release import CanaryTrial, ShadowTrial, Trials, read_trials
from app.model.verification.manifest import REMEDY

# A load reads and hashes every file: a refused version is not tried at each look.
RETRY_REFUSED_S = 10.0

ShadowChanged = Callable[[Bundle | None, float], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Canary:
    """A bundle and the people whom it answers."""

    bundle: Bundle
    trial: CanaryTrial


class LiveBundle:
    """Holds the bundle being served and a canary. `warm` runs on a new bundle before any request sees it.

    The product table in `tables_dir` is applied to each bundle, at once and whenever it changes.
    `on_refused` hears why a bundle is refused (REFUSAL_REASONS), `on_live` of every bundle that goes live,
    `on_canary` the version for every question that the canary
    gets, and `on_shadow`, where it is set, of the shadow's bundle (None = no more) and its questions per second.
    """

    def __init__(
        self,
        bundles_dir: Path,
        *,
        tables_dir: Path,
        warm: Callable[[Bundle], None],
        on_refused: Callable[[str], None],
        on_live: Callable[[Bundle], None] = lambda _: None,
        on_canary: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._bundles_dir = bundles_dir
        self._on_live = on_live
        self._on_canary = on_canary
        self._products = ProductTable(tables_dir)
        slots = (_BundleSlot(bundles_dir, self._products, warm, on_refused) for _ in range(3))
        self._live, self._canary, self._shadow = slots
        self._trials_problem: str | None = None
        self._last_shadow: tuple[Bundle | None, float] = (None, 0.0)
        self.on_shadow: ShadowChanged | None = None
        self.canary: Canary | None = None

    @property
    def bundle(self) -> Bundle | None:
        """The live bundle."""
        return self._live.bundle

    @property
    def problem(self) -> str | None:
        """What is wrong with the published bundle or with those on trial."""
        slots = (self._canary.problem, self._shadow.problem)
        problems = (self._live.problem, self._trials_problem, *slots, self._products.problem)
        return "; ".join(filter(None, problems)) or None

    def bundle_for(self, customer_id: str | None, anonymous_id: str | None) -> Bundle | None:
        """The one bundle that answers this person now: the live one, or the canary for its share."""
        # Read once: refresh() replaces it from another thread.
        canary = self.canary
        if canary is None or not canary.trial.takes(subject_of(customer_id, anonymous_id)):
            return self._live.bundle
        self._on_canary(canary.bundle.version)
        return canary.bundle

    def refresh(self) -> bool:
        """Takes what was published since, as far as it is sound; True when another bundle went live. Never raises."""
        is_new = self._live.take(lambda: current_version(self._bundles_dir))
        bundle = self._live.bundle
        if is_new and bundle is not None:
            self._on_live(bundle)
            _log.info("bundle is live", extra={"model_version": bundle.version})
        self._follow(self._trials() if bundle is None else self._trials().without(bundle.version))
        return is_new

    def _trials(self) -> Trials:
        """The trials to follow; none when the file is broken: then the live bundle serves everybody."""
        self._trials_problem = None
        try:
            return read_trials(self._bundles_dir)
        except BundleRefused as error:
            self._trials_problem = error.message
            return Trials()

    def _follow(self, trials: Trials) -> None:
        trial = trials.canary if self.bundle is not None else None
        bundle = self._canary.hold(None if trial is None else trial.version)
        self.canary = None if trial is None or bundle is None else Canary(bundle, trial)
        if self.on_shadow is not None:
            self._follow_shadow(trials.shadow, self.on_shadow)

    def _follow_shadow(self, trial: ShadowTrial | None, on_shadow: ShadowChanged) -> None:
        bundle = self._shadow.hold(None if trial is None else trial.version)
        per_second = 0.0 if trial is None else trial.per_second
        last_bundle, last_per_second = self._last_shadow
        if bundle is not last_bundle or per_second != last_per_second:
            self._last_shadow = (bundle, per_second)
            on_shadow(bundle, per_second)


class _BundleSlot:
    """A slot for one bundle: which one is there, and which one was refused a moment ago."""

    def __init__(
        self,
        bundles_dir: Path,
        products: ProductTable,
        warm: Callable[[Bundle], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self._bundles_dir = bundles_dir
        self._products = products
        self._table: State | None = None
        self._warm = warm
        self._on_refused = on_refused
        self._refused: tuple[str, float] | None = None
        self.bundle: Bundle | None = None
        self.problem: str | None = None

    def take(self, wanted: Callable[[], str]) -> bool:
        """Takes the wanted version if it is another one and sound; True when taken. Never raises."""
        version = POINTER
        try:
            version = wanted()
            if self._is_settled(version):
                self._apply_products()
                return False
            # Noted before it is read: a table that changes meanwhile differs at the next look, and is applied then.
            table = self._products.state()
            bundle = self._products.applied_to(load_bundle(self._bundles_dir / version), now=datetime.now(UTC))
            self._warm(bundle)
        except BundleMissing as error:
            self.problem = error.message
            return False
        except Exception as error:  # noqa: BLE001 - the reload border: whatever is wrong, the old bundle serves on
            self._refuse(version, error)
            return False
        self.bundle, self._table, self.problem, self._refused = bundle, table, None, None
        release_memory()
        return True

    def _apply_products(self) -> None:
        """Applies the product table of now. A table that the bundle cannot be served with is not tried again."""
        table = self._products.state()
        if self.bundle is None or table == self._table:
            return
        self._table = table
        # Without a table products are what they were at training, and not what the last table said.
        before = self.bundle if table is not None else load_bundle(self._bundles_dir / self.bundle.version)
        bundle = self._products.applied_to(before, now=datetime.now(UTC))
        if bundle is not self.bundle:
            self._warm(bundle)
            self.bundle = bundle
            release_memory()

    def hold(self, version: str | None) -> Bundle | None:
        """The bundle of exactly this version; None while it is refused, and for None."""
        if version is None or (self.bundle is not None and self.bundle.version != version):
            self.leave()
        if version is not None:
            self.take(lambda: version)
        return self.bundle

    def leave(self) -> None:
        """Holds no bundle any more."""
        self.bundle = self.problem = self._refused = None

    def _is_settled(self, version: str) -> bool:
        if self.bundle is not None and self.bundle.version == version:
            self.problem = self._refused = None
            return True
        return self._refused is not None and self._refused[0] == version and monotonic() < self._refused[1]

    def _refuse(self, version: str, error: Exception) -> None:
        self._refused = (version, monotonic() + RETRY_REFUSED_S)
        if not isinstance(error, BundleRefused):
            _log.error("bundle failed", exc_info=error, extra={"model_version": version})
            error = BundleRefused(f"bundle {version}: {error!r}; {REMEDY}")
        self.problem = error.message
        self._on_refused(error.reason)
        _log.error("bundle refused", extra={"model_version": version, "detail": self.problem, "reason": error.reason})
