"""What a data scientist sets for a training: a TOML file and the command's options, checked before all else."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import BadInput, BadSetting
from app.model.verification.documents import Weighting
from training.learners.factors import AlsSettings
from training.tuning.factors import MAX_FACTORS
from training.tuning.linear import EVENNESSES, PENALTIES

PAGE = "docs/training.md"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Evenness = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


class _Strict(BaseModel):
    # By default pydantic takes text for a number and true for 1.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SearchSpace(_Strict):
    """Where tuning starts and how far it may search; fields as in AlsSettings."""

    factors: int = Field(default=AlsSettings().factors, ge=4, le=512)
    max_factors: int = Field(default=MAX_FACTORS, ge=4, le=512)
    alpha: Positive = AlsSettings().alpha
    regularization: Positive = AlsSettings().regularization
    weighting: Weighting = "decayed"
    iterations: int = Field(default=AlsSettings().iterations, ge=1, le=100)
    # TOML has lists alone: these become tuples, their numbers stay strict.
    penalties: tuple[Positive, ...] = Field(default=PENALTIES, min_length=1, max_length=20, strict=False)
    evennesses: tuple[Evenness, ...] = Field(default=EVENNESSES, max_length=20, strict=False)

    @model_validator(mode="after")
    def _has_room(self) -> "SearchSpace":
        if self.max_factors < self.factors:
            raise ValueError(f"max_factors = {self.max_factors} is less than factors = {self.factors}: raise it")
        return self

    def start(self) -> AlsSettings:
        """The first trial."""
        return AlsSettings(self.factors, self.alpha, self.regularization, self.weighting, self.iterations)


class EnabledParts(_Strict):
    """Which learned parts a bundle may have; data that cannot feed one leaves it out all the same."""

    linear: bool = True
    trees: bool = True
    replenishment: bool = True


class ModelConfig(_Strict):
    """What shapes the model of one run."""

    warm_start: bool = False
    max_windows: int = Field(default=5, ge=1, le=24)
    parts: EnabledParts = EnabledParts()
    search_space: SearchSpace = SearchSpace()


class TrainConfig(ModelConfig):
    """The whole file; docs/training.md explains every key."""

    budget_minutes: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0, lt=2**32)
    publish: bool = True
    mlflow_tracking_uri: str | None = Field(default=None, min_length=1)
    mlflow_experiment: str | None = Field(default=None, min_length=1)


def read_config(path: Path | None, **given: object) -> TrainConfig:
    """The file's keys (None = no file), `given` options that are not None winning.

    Raises BadSetting in one line that names key, value and remedy, BadInput for a file that cannot be read.
    """
    options = {name: value for name, value in given.items() if value is not None}
    stated = {} if path is None else _document(path)
    try:
        return TrainConfig.model_validate(stated | options)
    except ValidationError as error:
        raise BadSetting(_in_one_line(path, error)) from None


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); --config takes a TOML file, see {PAGE}") from None
    except ValueError as error:
        raise BadInput(f"{path} is no TOML: {error}; see {PAGE}") from None


def _in_one_line(path: Path | None, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"])) or "search_space"
    setting = f"{'options' if path is None else path}: {key} = {first['input']!r}"
    if first["type"] == "extra_forbidden":
        return f"{setting}: there is no such key; {_remedy(key)}"
    return f"{setting}: {first['msg'].removeprefix('Value error, ')}; see {PAGE}"


def _remedy(key: str) -> str:
    near = get_close_matches(key, keys(), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"take it out, the keys are in {PAGE}"


def keys(model: type[BaseModel] = TrainConfig, prefix: str = "") -> dict[str, object]:
    """Every key of the file by its dotted name, with its default."""
    defaults: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            defaults |= keys(type(field.default), f"{prefix}{name}.")
        else:
            defaults[f"{prefix}{name}"] = field.default
    return defaults
