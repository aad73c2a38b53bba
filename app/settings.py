"""The only file that reads the environment: every setting, its unit in its name, frozen."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import BadSetting


class Placement(BaseModel):
    """A place where slates appear; `fallback` is shown when there is no model at all.

    `new_products`: 1 keeps the last place for a product newer than the model that fits the customer, 0 does not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=10, ge=1, le=100)
    fallback: tuple[str, ...] = ()
    new_products: int = Field(default=1, ge=0, le=1)


DEFAULT_PLACEMENTS = {
    name: Placement()
    for name in ("app_home", "web_home", "product_page", "cart", "in_aisle", "email", "push", "kiosk", "till")
}


def _known_redis_scheme(url: str | None) -> str | None:
    if url is not None and not url.startswith(("redis://", "rediss://")):
        raise ValueError("must start with redis:// or rediss://")
    return url


class Settings(BaseSettings):
    """All settings, read from `ENDCAP_*` variables; docs/settings.md explains each."""

    model_config = SettingsConfigDict(env_prefix="ENDCAP_", frozen=True, extra="forbid")

    data_dir: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_key: str | None = Field(default=None, min_length=16)
    redis_url: Annotated[str | None, AfterValidator(_known_redis_scheme)] = None
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    feature_timeout_ms: int = Field(default=30, ge=1, le=10_000)
    ingest_timeout_ms: int = Field(default=60, ge=1, le=10_000)
    max_in_flight_count: int = Field(default=64, ge=1)
    last_known_features_s: int = Field(default=900, ge=0)
    features_stale_after_s: int = Field(default=8 * 86_400, ge=60)
    decision_keep_s: int = Field(default=900, ge=1)
    event_seen_keep_s: int = Field(default=7 * 86_400, ge=60)
    live_event_count: int = Field(default=100, ge=1, le=1000)
    live_keep_s: int = Field(default=30 * 86_400, ge=60)
    stream_partition_count: int = Field(default=4, ge=1, le=256)
    worker_batch_count: int = Field(default=2000, ge=1)
    worker_interval_ms: int = Field(default=500, ge=10)
    reload_interval_ms: int = Field(default=250, ge=10)
    placements_file: Path | None = None

    @classmethod
    def load(cls, **given: object) -> Self:
        """Settings from the environment, `given` (None = not given) winning; raises BadSetting in one line."""
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            name = "ENDCAP_" + "_".join(str(part) for part in first["loc"]).upper()
            raise BadSetting(f"{name}={first.get('input')!r}: {first['msg']}; see docs/settings.md") from None

    def placements(self) -> dict[str, Placement]:
        """The configured placements; raises BadSetting when the file does not hold `{name: {size, fallback}}`."""
        if self.placements_file is None:
            return DEFAULT_PLACEMENTS
        try:
            raw = json.loads(self.placements_file.read_text())
            return {name: Placement.model_validate(value) for name, value in raw.items()}
        except (OSError, ValueError, AttributeError) as error:
            message = str(error).splitlines()[0]
            raise BadSetting(f"ENDCAP_PLACEMENTS_FILE={self.placements_file}: {message}") from None

    @property
    def history_dir(self) -> Path:
        """The Delta table with every transaction and event."""
        return self.data_dir / "history"

    @property
    def tables_dir(self) -> Path:
        """Canonical tables besides the history: products, stores, as Parquet."""
        return self.data_dir / "tables"

    @property
    def features_dir(self) -> Path:
        """Feast's registry and offline tables."""
        return self.data_dir / "features"

    @property
    def bundles_dir(self) -> Path:
        """Published models, one immutable folder a version, and the pointer `current`."""
        return self.data_dir / "bundles"

    @property
    def rejects_dir(self) -> Path:
        """Rows that imports refused, with the reason."""
        return self.data_dir / "rejects"

    @property
    def reports_dir(self) -> Path:
        """What evaluations found out, a page and a JSON document per bundle."""
        return self.data_dir / "reports"
