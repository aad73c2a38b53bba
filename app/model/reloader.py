"""The live bundle: one reference that requests read once, swapped when a newer verified bundle is published."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from app.errors import BundleMissing, BundleRefused
from app.model.bundle import POINTER, Bundle, current_version, load_bundle

RETRY_REFUSED_S = 10.0

_log = logging.getLogger(__name__)


class LiveBundle:
    """Holds the bundle being served. `warm` runs on a new bundle before any request sees it."""

    def __init__(self, bundles_dir: Path, *, warm: Callable[[Bundle], None], on_refused: Callable[[str], None]) -> None:
        self._bundles_dir = bundles_dir
        self._warm = warm
        self._on_refused = on_refused
        self._refused: tuple[str, float] | None = None
        self.bundle: Bundle | None = None
        self.problem: str | None = None

    def refresh(self) -> bool:
        """Swaps in the published bundle if it is another one and sound; True when swapped. Never raises."""
        version = POINTER
        try:
            version = current_version(self._bundles_dir)
            if self._is_settled(version):
                return False
            bundle = load_bundle(self._bundles_dir / version)
            self._warm(bundle)
        except BundleMissing as error:
            self.problem = error.message
            return False
        except Exception as error:  # noqa: BLE001 - the reload border: whatever is wrong, the old bundle serves on
            self._refuse(version, error)
            return False
        self.bundle, self.problem, self._refused = bundle, None, None
        _log.info("bundle is live", extra={"model_version": version})
        return True

    async def watch(self, interval_s: float) -> None:
        """Refreshes for ever, in a thread, so that requests go on."""
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(self.refresh)

    def _is_settled(self, version: str) -> bool:
        if self.bundle is not None and self.bundle.version == version:
            return True
        return self._refused is not None and self._refused[0] == version and monotonic() < self._refused[1]

    def _refuse(self, version: str, error: Exception) -> None:
        self._refused = (version, monotonic() + RETRY_REFUSED_S)
        self.problem = error.message if isinstance(error, BundleRefused) else f"bundle {version}: {error!r}"
        self._on_refused(version)
        _log.error("bundle refused", extra={"model_version": version, "detail": self.problem})
