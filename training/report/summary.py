"""What a finished training or evaluation reports, and the same in plain JSON types for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from app.errors import ReleaseRefused
from training.data.non_goods import NonGood, non_goods_document
from training.release.release import GateResult


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training run made, how good it is on held-out baskets, and where the time went (seconds).

    `notes`: what the retailer has to know of the bundle and can do about it.
    """

    version: str
    _: KW_ONLY
    published: bool
    metrics: Mapping[str, object]
    seconds: Mapping[str, float]
    report: Path
    gate: GateResult | None = None
    notes: Sequence[str] = ()
    non_goods: Sequence[NonGood] = ()

    @property
    def refusal(self) -> ReleaseRefused | None:
        """Why the gate did not let the bundle through; None when it did, or did not run."""
        return None if self.gate is None else self.gate.refusal()

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return {
            "version": self.version,
            "published": self.published,
            "metrics": self.metrics,
            "seconds": self.seconds,
            "report": str(self.report),
            "gate": None if self.gate is None else self.gate.to_dict(),
            "notes": list(self.notes),
            "non_goods": non_goods_document(self.non_goods),
        }


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The figures of one bundle's settings on its held-out part."""

    version: str
    metrics: Mapping[str, object]
    report: Path

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return asdict(self) | {"report": str(self.report)}
