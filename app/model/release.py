"""Which bundles are on trial next to the live one: a small file that commands write and servers read."""

from dataclasses import dataclass
from pathlib import Path

import mmh3
import orjson

from app.errors import BundleRefused

TRIALS = "trials.json"
HASH_RANGE = 2**32


@dataclass(frozen=True, slots=True)
class CanaryTrial:
    """`version` answers `share_percent` of all people."""

    version: str
    share_percent: float

    def takes(self, subject: str) -> bool:
        """True for the same people every time; a larger share of the same version keeps those of a smaller one.

        The version salts the hash, so that it is not always the same people who meet what is new.
        """
        # Not hash(), which Python salts in each process: every server has to choose the same people.
        position = mmh3.hash(f"{self.version}:{subject}", signed=False)
        return bool(position < self.share_percent / 100 * HASH_RANGE)


@dataclass(frozen=True, slots=True)
class ShadowTrial:
    """`version` ranks at most `per_second` answered questions again, in each server, and is never served."""

    version: str
    per_second: float


@dataclass(frozen=True, slots=True)
class Trials:
    """What servers do in addition to serving the live bundle."""

    canary: CanaryTrial | None = None
    shadow: ShadowTrial | None = None

    @property
    def versions(self) -> frozenset[str]:
        """The bundles that are on trial."""
        return frozenset(trial.version for trial in (self.canary, self.shadow) if trial is not None)

    def without(self, version: str) -> "Trials":
        """The same trials less those of `version`."""
        return Trials(
            None if self.canary is not None and self.canary.version == version else self.canary,
            None if self.shadow is not None and self.shadow.version == version else self.shadow,
        )

    def document(self) -> bytes:
        """The trials as `read_trials` reads them."""
        return orjson.dumps({"canary": self.canary, "shadow": self.shadow}, option=orjson.OPT_INDENT_2)


def read_trials(bundles_dir: Path) -> Trials:
    """The trials that servers follow, none without the file; raises BundleRefused when it cannot be read."""
    path = bundles_dir / TRIALS
    try:
        found = orjson.loads(path.read_bytes())
        canary, shadow = found["canary"], found["shadow"]
        return Trials(
            None if canary is None else CanaryTrial(str(canary["version"]), float(canary["share_percent"])),
            None if shadow is None else ShadowTrial(str(shadow["version"]), float(shadow["per_second"])),
        )
    except FileNotFoundError:
        return Trials()
    except (OSError, ValueError, LookupError, TypeError) as error:
        remedy = "run `endcap canary --off` and `endcap shadow --off`"
        raise BundleRefused(f"{path} cannot be read ({error!r}); {remedy}") from None
