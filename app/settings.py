"""The only file that reads the environment: every setting, its unit in its name, frozen."""

import os
from difflib import get_close_matches
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain import Objective, Pin, Selection, SlatePolicy, Weighting
from app.errors import BadSetting


class ProductSelector(BaseModel):
    """Some products: `product_ids`, or those whose `attribute` has one of `values`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_ids: tuple[str, ...] = Field(default=(), description="These products; else `attribute` and `values`")
    attribute: str | None = Field(default=None, description="A column of the product table, such as category or brand")
    values: tuple[str, ...] = Field(default=(), description="Those whose `attribute` is one of these")

    @model_validator(mode="after")
    def _names_products_one_way(self) -> Self:
        ways = (bool(self.product_ids), self.attribute is not None and bool(self.values))
        if ways not in {(True, False), (False, True)} or bool(self.values) != (self.attribute is not None):
            raise ValueError("give product_ids, or attribute and values")
        return self

    def selection(self) -> Selection:
        """The same in the pipeline's words."""
        return Selection(self.product_ids, self.attribute, self.values)


class Boost(ProductSelector):
    """Multiplies the odds of some products."""

    factor: float = Field(gt=1, le=1000)


class Bury(ProductSelector):
    """Divides the odds of some products: a factor of 0.5 halves them."""

    factor: float = Field(ge=0.001, lt=1)


class PinnedProduct(BaseModel):
    """One product at one rank, counted from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: str
    rank: int = Field(ge=1, le=100)


class Placement(BaseModel):
    """A place where slates appear; `fallback` is shown when there is no model at all.

    `new_products`: 1 keeps the last place for a product newer than the model that fits the customer, 0 does not.
    `coupon_places` are kept for coupons where a question asks for both kinds; more than `max_coupons` never get in.
    Products for people of age, as tobacco and alcohol, are shown only with `allow_age_restricted`.
    What the other fields do to a slate: docs/ranking.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=10, ge=1, le=100)
    fallback: tuple[str, ...] = ()
    new_products: int = Field(default=1, ge=0, le=1)
    coupon_places: int = Field(default=1, ge=0, le=100)
    max_coupons: int = Field(default=3, ge=0, le=100)
    allow_age_restricted: bool = False
    objective: Objective = Objective.RELEVANCE
    max_per_category: int | None = Field(default=None, ge=1)
    max_per_brand: int | None = Field(default=None, ge=1)
    diversity: float = Field(default=0.0, ge=0, le=1)
    boost: tuple[Boost, ...] = ()
    bury: tuple[Bury, ...] = ()
    pin: tuple[PinnedProduct, ...] = ()
    exclude: tuple[ProductSelector, ...] = ()

    @model_validator(mode="after")
    def _rules_agree(self) -> Self:
        ranks, products = [pin.rank for pin in self.pin], [pin.product_id for pin in self.pin]
        if len(set(ranks)) < len(ranks):
            raise ValueError("pin names a rank twice")
        if len(set(products)) < len(products):
            raise ValueError("pin names a product twice")
        excluded = {product_id for one in self.exclude for product_id in one.product_ids}
        shown = {*self.fallback, *(pin.product_id for pin in self.pin)} & excluded
        if shown:
            raise ValueError(f"exclude forbids {', '.join(sorted(shown))}, which pin or fallback shows")
        return self

    # cached_property writes to __dict__ and not through __setattr__, so it works on a frozen model.
    @cached_property
    def policy(self) -> SlatePolicy | None:
        """What it sets about its slates; None when nothing."""
        weighted: tuple[Boost | Bury, ...] = (*self.boost, *self.bury)
        policy = SlatePolicy(
            objective=self.objective,
            max_per_category=self.max_per_category,
            max_per_brand=self.max_per_brand,
            diversity=self.diversity,
            weightings=tuple(Weighting(one.selection(), one.factor) for one in weighted),
            pins=tuple(Pin(one.rank, one.product_id) for one in self.pin),
            excluded=tuple(one.selection() for one in self.exclude),
        )
        return None if policy == SlatePolicy() else policy


_PLACEMENTS = TypeAdapter(dict[str, Placement])
DEFAULT_PLACEMENTS = {
    name: Placement()
    for name in ("app_home", "web_home", "product_page", "cart", "in_aisle", "email", "push", "kiosk", "till")
}


TLS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""What a rediss:// URL may name after its question mark, in the words of redis-py."""


def _safe_redis(url: str | None, info: ValidationInfo) -> str | None:
    """The URL, if it may be used: over a network only with TLS and a password, unless that network is private."""
    if url is None:
        return None
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError("must start with redis:// or rediss://")
    parts = urlsplit(url)
    for name, path in parse_qsl(parts.query, keep_blank_values=True):
        if name not in TLS_FILES or parts.scheme != "rediss":
            raise ValueError(f"{name} means nothing here; a rediss:// URL may name {', '.join(sorted(TLS_FILES))}")
        if not os.access(path, os.R_OK):
            raise ValueError(f"{name}: the file cannot be read")
    is_private = info.data.get("redis_network_is_private") or is_loopback(parts.hostname or "localhost")
    if not is_private and (parts.scheme != "rediss" or not parts.password):
        raise ValueError(
            "a Redis on another machine needs TLS (rediss://) and a password; set "
            "ENDCAP_REDIS_NETWORK_IS_PRIVATE=true where nobody else can reach it"
        )
    return url


def is_loopback(host: str) -> bool:
    """True for addresses that nobody but this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _known_database_scheme(url: str | None) -> str | None:
    if url is not None and not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("must start with sqlite:/// or postgresql://")
    return url


def _web_address(url: str | None) -> str | None:
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("must start with http:// or https:// and name a host")
    return url


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write an IANA name, such as Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
SECRETS = frozenset({"api_key", "database_url", "product_feed_url", "redis_url"})
"""Settings that hold a password, which no message repeats."""


PREFIX = "ENDCAP_"
NO_SETTINGS = frozenset({"ENDCAP_SHARED_DATA"})
"""Variables with our prefix that are known all the same: where tests find published data sets."""


class Settings(BaseSettings):
    """All settings, read from `ENDCAP_*` variables; docs/settings.md explains each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_connections: int = Field(default=1000, ge=1)
    api_process_count: int | None = Field(default=None, ge=1, le=256)
    api_key: str | None = Field(default=None, min_length=16)
    keys_hold_s: int = Field(default=86_400, ge=1)
    key_requests_per_second: int = Field(default=0, ge=0)
    guesses_per_customer_per_minute: int = Field(default=10, ge=1)
    guesses_per_client_per_minute: int = Field(default=300, ge=1)
    # Before the URL, which is checked by it.
    redis_network_is_private: bool = False
    redis_url: Annotated[str | None, AfterValidator(_safe_redis)] = None
    database_url: Annotated[str | None, AfterValidator(_known_database_scheme)] = None
    time_zone: TimeZone = "UTC"
    consent: Literal["required", "upstream"] | None = None
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    feature_timeout_ms: int = Field(default=30, ge=1, le=10_000)
    ingest_timeout_ms: int = Field(default=250, ge=1, le=10_000)
    max_in_flight_count: int = Field(default=64, ge=1)
    last_known_features_s: int = Field(default=900, ge=0)
    features_stale_after_s: int = Field(default=8 * 86_400, ge=60)
    decision_keep_s: int = Field(default=900, ge=1)
    event_seen_keep_s: int = Field(default=7 * 86_400, ge=60)
    live_event_count: int = Field(default=100, ge=1, le=1000)
    live_keep_s: int = Field(default=30 * 86_400, ge=60)
    perishable_shelf_life_days: int | None = Field(default=None, ge=0, le=365)
    new_products_name_prices_since_listing: bool = False
    receipt_keep_s: int = Field(default=90 * 86_400, ge=86_400)
    purchases_keep_days: int = Field(default=3650, ge=1)
    behaviour_keep_days: int = Field(default=1095, ge=1)
    rejects_keep_days: int = Field(default=30, ge=1)
    audit_keep_days: int = Field(default=365, ge=1)
    stream_partition_count: int = Field(default=4, ge=1, le=256)
    worker_batch_count: int = Field(default=2000, ge=1)
    worker_interval_ms: int = Field(default=5000, ge=10)
    reload_interval_ms: int = Field(default=250, ge=10)
    placements_file: Path | None = None
    import_max_bytes: int = Field(default=2_000_000_000, ge=1)
    product_feed_url: Annotated[str | None, AfterValidator(_web_address)] = None
    product_feed_mapping: str | None = None
    product_feed_interval_s: int = Field(default=3600, ge=1)

    @classmethod
    def load(cls, **given: object) -> Self:
        """Settings from the environment, `given` (None = not given) winning; raises BadSetting in one line."""
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks
        except ValidationError as error:
            first = error.errors()[0]
            name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
            is_secret = first["loc"][:1] and first["loc"][0] in SECRETS
            given_as = "…" if is_secret else repr(first.get("input"))
            raise BadSetting(f"{name}={given_as}: {first['msg']}; see docs/settings.md") from None

    def placements(self) -> dict[str, Placement]:
        """The configured placements; raises BadSetting naming what in the file is no placement."""
        if self.placements_file is None:
            return DEFAULT_PLACEMENTS
        try:
            return _PLACEMENTS.validate_json(self.placements_file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            message = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        except OSError as error:
            message = str(error)
        raise BadSetting(f"ENDCAP_PLACEMENTS_FILE={self.placements_file}: {message}; see docs/settings.md")

    @property
    def is_loopback(self) -> bool:
        """True when nobody but this machine can reach the API."""
        return is_loopback(self.host)

    @property
    def consent_is_required(self) -> bool:
        """True where who said nothing gets nothing personal; on loopback other systems see to it."""
        return self.consent == "required" or (self.consent is None and not self.is_loopback)

    @property
    def consent_in_words(self) -> str:
        """Who asks for consent, and what that means."""
        if self.consent_is_required:
            return "required: who granted none to Endcap gets nothing personal"
        return "upstream: your own systems send only customers who gave theirs; what is withdrawn here counts as well"

    @property
    def ledger_url(self) -> str:
        """Where coupons and money are kept: `database_url`, else an SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ledger.db'}"

    @property
    def keys_file(self) -> Path:
        """The API keys' hashes as they were last read from the ledger."""
        return self.data_dir / "keys.json"

    @property
    def privacy_file(self) -> Path:
        """The secret that keys what stays of those who were erased."""
        return self.data_dir / "privacy.key"

    @property
    def backups_file(self) -> Path:
        """Where backups were made, a folder a line: whoever is erased is noted there as well."""
        return self.data_dir / "backups.txt"

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
    def snapshot_file(self) -> Path:
        """What servers knew of stock and prices a while ago, so that the next one need not read all of SQL."""
        return self.data_dir / "places" / "live.npz"

    @property
    def bundles_dir(self) -> Path:
        """Published models, one immutable folder a version, and the pointer `current`."""
        return self.data_dir / "bundles"

    @property
    def rejects_dir(self) -> Path:
        """Rows that imports refused, with the reason."""
        return self.data_dir / "rejects"

    @property
    def uploads_dir(self) -> Path:
        """Imports that the API took: their files until they are in, and what became of them."""
        return self.data_dir / "uploads"

    @property
    def feeds_dir(self) -> Path:
        """How the products feed by URL is, what it said last, and its reports."""
        return self.data_dir / "feeds"

    @property
    def reports_dir(self) -> Path:
        """The results of evaluations, a page and a JSON document per bundle."""
        return self.data_dir / "reports"


def unknown_variables() -> list[str]:
    """A line for each variable of the environment that looks like a setting and is none, with the setting meant."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | NO_SETTINGS
    # pydantic-settings takes names in any case of letters, so a lower-case one is no mistake.
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"unknown variable {name}: {_remedy(name, known)}" for name in unknown]


def _remedy(name: str, known: set[str]) -> str:
    # Without the prefix, which would make any two names alike.
    settings = [setting.removeprefix(PREFIX) for setting in known - NO_SETTINGS]
    close = get_close_matches(name.upper().removeprefix(PREFIX), settings, n=1)
    return f"did you mean {PREFIX}{close[0]}?" if close else "docs/settings.md lists all settings"


class MlflowSettings(BaseSettings):
    """What MLflow's own variables say of where trainings are logged."""

    model_config = SettingsConfigDict(env_prefix="MLFLOW_", frozen=True, env_ignore_empty=True)

    tracking_uri: str | None = None
    experiment_name: str | None = None
