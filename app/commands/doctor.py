"""`endcap doctor`: checks every part that must work, and says what is wrong and how to fix it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.commands.supervisor import sole_owner
from app.composition.history import history_of
from app.composition.stores import keys_of, ledger_of, redis_client
from app.errors import BadSetting, EndcapError
from app.model.bundle import current_version, load_bundle
from app.processes.machine import open_file_limit
from app.processes.store import REPAIR
from app.room import refusal, shortage
from app.settings import Settings, unknown_variables
from app.stores.redis.keys import FEATURES_AS_OF
from app.stores.redis.keys import why_read_only as redis_refusal
from app.stores.redis.server.append_only import damage
from app.stores.redis.server.append_only import repair as repair_file
from app.stores.redis.server.embedded import find_running
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.schema import has_ledger, is_current, why_read_only
from app.stores.tables.feed_state import read_state

DAY_S = 86_400
OTHER_FILES = 200
"""What a server holds open besides its connections: bundle, ledger, Redis, libraries."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One part, whether it works, and what was seen or what to do."""

    part: str
    is_ok: bool
    detail: str

    def to_dict(self) -> dict[str, object]:
        """The check in plain JSON types."""
        return asdict(self)


def examine(settings: Settings) -> list[HealthCheck]:
    """One check per part; a part that fails does not keep the others from being checked."""
    checks: dict[str, Callable[[Settings], HealthCheck]] = {
        "settings": _settings,
        "open files": _open_files,
        "data directory": _directory,
        "history": _history,
        "bundle": _bundle,
        "ledger": _ledger,
        "ledger accounts": _accounts,
        "redis": _redis,
        "features": _features,
        "event stream": _stream,
        "product feed": _feed,
    }
    return [_guarded(part, check, settings) for part, check in checks.items()]


def repair(settings: Settings, *, now: datetime) -> str:
    """What was done about a damaged append-only file; raises BadSetting while something runs on the data directory."""
    with sole_owner(settings.data_dir):
        if find_running(settings.data_dir) is not None:
            raise BadSetting(f"a Valkey runs on {settings.data_dir}; end the command that uses it first")
        found = damage(settings.data_dir)
        if found is None:
            return "nothing to repair"
        copy = repair_file(found, now=now)
    return f"{found}; they were cut off, and {copy} is a copy of the file as it was"


def _guarded(part: str, check: Callable[[Settings], HealthCheck], settings: Settings) -> HealthCheck:
    try:
        return check(settings)
    except EndcapError as error:
        return HealthCheck(part, False, error.message)
    except Exception as error:  # noqa: BLE001 - the border of one check
        return HealthCheck(part, False, repr(error))


def _settings(settings: Settings) -> HealthCheck:
    names = ", ".join(sorted(settings.placements()))
    # A warning and no failure: the variable may belong to another program.
    facts = (f"placements {names}", f"currency {settings.currency}", f"consent {settings.consent_in_words}")
    seen = [*facts, *unknown_variables()]
    return HealthCheck("settings", True, "; ".join(seen))


def _open_files(settings: Settings) -> HealthCheck:
    needed, allowed = settings.max_connections + OTHER_FILES, open_file_limit()
    if allowed < needed:
        detail = f"{allowed:,} are allowed; {needed:,} are needed for ENDCAP_MAX_CONNECTIONS={settings.max_connections}"
        return HealthCheck("open files", False, f"{detail}: raise the limit, see docs/operations.md")
    return HealthCheck("open files", True, f"{allowed:,} are allowed, {needed:,} may be needed")


def _directory(settings: Settings) -> HealthCheck:
    folder = settings.data_dir
    if not folder.is_dir():
        return HealthCheck("data directory", False, f"{folder} is missing; create it")
    found = shortage(folder) or next(filter(None, map(refusal, (folder, *_written_to(folder)))), None)
    if found is not None:
        return HealthCheck("data directory", False, f"{found}; make room or give access, and writes are taken again")
    return HealthCheck("data directory", True, f"{folder}, writable, with room")


def _written_to(folder: Path) -> list[Path]:
    """The folders inside that servers and worker write to, as far as they are there."""
    return [path for path in (folder / "valkey", folder / "history") if path.is_dir()]


def _history(settings: Settings) -> HealthCheck:
    version = history_of(settings).version()
    if version is None:
        return HealthCheck("history", False, f"{settings.history_dir} holds no table; run `endcap import` first")
    count = history_of(settings).scan().select("row_id").collect(engine="streaming").height
    return HealthCheck("history", True, f"{count:,} rows, table version {version}")


def _bundle(settings: Settings) -> HealthCheck:
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    return HealthCheck("bundle", True, f"{bundle.version}, {bundle.item_count:,} products, every file verified")


def _ledger(settings: Settings) -> HealthCheck:
    is_own_file = settings.database_url is None
    kind = "SQLite, ledger.db in the data directory" if is_own_file else settings.ledger_url.split(":", 1)[0]
    if not has_ledger(settings):
        return HealthCheck("ledger", True, f"{kind}: not created yet; the first start of a server creates it")
    with closing(ledger_of(settings)) as ledger:
        if not is_current(ledger):
            return HealthCheck(
                "ledger", False, f"{kind}: the schema is an older one; the next start of a server migrates it"
            )
        reason = why_read_only(ledger)
    if reason is not None:
        return HealthCheck("ledger", False, f"{kind}: nothing can be written: {reason}; see docs/operations.md")
    return HealthCheck("ledger", True, f"{kind}, schema current, writable")


def _accounts(settings: Settings) -> HealthCheck:
    if not has_ledger(settings):
        return HealthCheck("ledger accounts", True, "nothing is in them yet")
    with closing(ledger_of(settings)) as ledger:
        if not is_current(ledger):
            return HealthCheck("ledger accounts", True, "not checked: the schema is an older one")
        found = ledger.read(reconcile)
    if not found:
        return HealthCheck("ledger accounts", True, "budgets, uses, limits and lines add up to the last cent")
    first = found[0]
    return HealthCheck(
        "ledger accounts",
        False,
        f"{len(found):,} figures do not add up, the first: {first.what} {first.subject}: {first.expected} expected, "
        f"{first.found} found; stop redemptions and see docs/operations.md",
    )


def _redis_url(settings: Settings) -> str | None:
    running = find_running(settings.data_dir)
    return settings.redis_url or (running.url if running else None)


def _redis(settings: Settings) -> HealthCheck:
    url = _redis_url(settings)
    if url is None and (found := damage(settings.data_dir)) is not None:
        return HealthCheck("redis", False, f"{found}; {REPAIR}")
    if url is None:
        return HealthCheck("redis", True, "embedded Valkey is not running; `endcap up` starts it")
    with redis_client(url, timeout_s=2.0) as client:
        info = client.info()
        if not info.get("aof_enabled"):
            detail = f"version {info['redis_version']}, append-only file OFF: accepted events may be lost"
            return HealthCheck("redis", False, detail)
        refused = redis_refusal(client)
    if refused is not None:
        why = shortage(settings.data_dir) if settings.redis_url is None else None
        return HealthCheck("redis", False, f"takes no writes, so events are refused: {why or refused}")
    return HealthCheck("redis", True, f"version {info['redis_version']}, append-only file on, takes writes")


def _features(settings: Settings) -> HealthCheck:
    url = _redis_url(settings)
    if url is None:
        return HealthCheck("features", True, "not checked: Redis is not running")
    with redis_client(url, timeout_s=2.0) as client:
        as_of = client.get(FEATURES_AS_OF)
    if as_of is None:
        return HealthCheck("features", False, "never materialized to this Redis; run `endcap features`")
    age_s = datetime.now(UTC).timestamp() - float(as_of)
    stale = age_s > settings.features_stale_after_s
    remedy = "; run `endcap features`" if stale else ""
    return HealthCheck("features", not stale, f"computed from the history of {age_s / DAY_S:.1f} days ago{remedy}")


def _feed(settings: Settings) -> HealthCheck:
    if settings.product_feed_url is None:
        return HealthCheck("product feed", True, "none is set")
    state = read_state(settings.feeds_dir)
    if state.problem is not None:
        return HealthCheck("product feed", False, f"{state.problem}; the products of before stay")
    if state.succeeded_at is None:
        return HealthCheck("product feed", True, "not fetched yet; the worker does, and `endcap feed` at once")
    age_s = datetime.now(UTC).timestamp() - state.succeeded_at
    # Several looks are missing: nobody takes them.
    is_late = age_s > 3 * settings.product_feed_interval_s
    remedy = "; does the worker run?" if is_late else ""
    detail = f"{state.product_count:,} products, looked at {age_s / 60:.0f} minutes ago{remedy}"
    return HealthCheck("product feed", not is_late, detail)


def _stream(settings: Settings) -> HealthCheck:
    url = _redis_url(settings)
    if url is None:
        return HealthCheck("event stream", True, "not checked: Redis is not running")
    keys = keys_of(settings)
    with redis_client(url, timeout_s=2.0) as client:
        waiting = sum(client.xlen(keys.stream(partition)) for partition in range(keys.partition_count))
        dead = sum(client.xlen(keys.dead(partition)) for partition in range(keys.partition_count))
    detail = f"{waiting:,} events wait for the worker, {dead:,} dead letters"
    return HealthCheck("event stream", dead == 0, detail + ("; read the streams `{pN}:dead`" if dead else ""))
