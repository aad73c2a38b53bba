"""The stores as every process connects to them, each made from the settings and closed by whoever opened it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from tempfile import TemporaryDirectory

from app.places.prices import ReferenceRules
from app.settings import Settings
from app.stores.redis.keys import RedisKeys, WorkerClient, worker_client
from app.stores.redis.projections import Projections
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import has_ledger, is_current, upgrade


def ledger_of(settings: Settings, *, limit_s: float | None = None) -> Ledger:
    """The ledger as it stands, no transaction longer than that; nothing is read, made or migrated yet."""
    return open_ledger(settings.ledger_url, limit_s=limit_s)


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of these settings, made or migrated where needed, until the block ends."""
    with closing(ledger_of(settings)) as ledger:
        upgrade(ledger)
        yield ledger


@contextmanager
def ledger_as_it_stands(settings: Settings) -> Iterator[Ledger]:
    """The ledger for who only looks: nothing is made or migrated, and where it is not there it is empty."""
    if has_ledger(settings):
        with closing(ledger_of(settings)) as ledger:
            if is_current(ledger):
                yield ledger
                return
    with TemporaryDirectory() as folder, closing(open_ledger(f"sqlite:///{folder}/ledger.db")) as empty:
        upgrade(empty)
        yield empty


def price_rules_of(settings: Settings) -> ReferenceRules:
    """Which earlier price a reduction may name."""
    return ReferenceRules(
        perishable_shelf_life_days=settings.perishable_shelf_life_days,
        counts_from_listing=settings.new_products_name_prices_since_listing,
    )


def keys_of(settings: Settings) -> RedisKeys:
    """The names of all keys in Redis."""
    return RedisKeys(settings.stream_partition_count)


def redis_client(redis_url: str, *, timeout_s: float = 5.0) -> WorkerClient:
    """A client for workers and commands, which may wait so long for each answer."""
    return worker_client(redis_url, timeout_s=timeout_s)


def projections_of(settings: Settings, ledger: Ledger, client: WorkerClient) -> Projections:
    """What writes wallets and budgets of this ledger to Redis; closing it closes the client."""
    return Projections(ledger, client, keys_of(settings))
