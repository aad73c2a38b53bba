"""The imported product table as servers watch it: its changes reach the bundles being served within a second."""

import hashlib
import io
import logging
from datetime import datetime
from pathlib import Path

from app.model.bundle import Bundle
from app.model.goods.age_restricted import TELLING_COLUMNS
from app.model.goods.cards import COLUMNS

FILE = "products.parquet"
READ = (
    "product_id", "name", "price_minor", "unit_cost_minor", "currency", "recommendable", "listed_at", *TELLING_COLUMNS,
    *COLUMNS,
)  # fmt: skip
"""The columns that bundles take from the table, in addition to their attributes."""

State = tuple[int, int, int]
"""What distinguishes one file from another without reading it: inode, time of change in ns, bytes."""

_log = logging.getLogger(__name__)


class ProductTable:
    """The product table below `tables_dir`; imports replace it whole. `problem` says why it cannot be used, if so."""

    def __init__(self, tables_dir: Path) -> None:
        self._path = tables_dir / FILE
        self.problem: str | None = None

    def state(self) -> State | None:
        """Which table there is now; None while there is none. One stat."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def sha256(self) -> str | None:
        """The table's SHA-256, by which a bundle knows what it was trained on; None without a table."""
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return None

    def applied_to(self, bundle: Bundle, *, now: datetime) -> Bundle:
        """The bundle with what the table says as of `now`; itself when that is nothing new or cannot be read.

        Never raises. 0.2 s for 92,000 products of which 100 are new, 2 ms when the bundle was trained on this table.
        """
        try:
            updated = _applied_to(bundle, self._path, now=now)
        except Exception as error:  # noqa: BLE001 - the border of the table: whatever is wrong, the bundle serves as it is
            self.problem = f"{self._path} cannot be used ({error!r}); run `endcap import --products` again"
            _log.exception("product table refused", extra={"model_version": bundle.version})
            return bundle
        self.problem = None
        if updated is not bundle:
            count = 0 if updated.new_products is None else len(updated.new_products.items)
            _log.info("product table applied", extra={"model_version": bundle.version, "new_product_count": count})
        return updated


def _applied_to(bundle: Bundle, path: Path, *, now: datetime) -> Bundle:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return bundle
    # A bundle with another table applied has to be led back even to the one that it was trained on.
    is_as_trained = bundle.catalogue.is_as_trained and bundle.new_products is None
    if is_as_trained and _says_nothing_new(bundle, content, now=now):
        return bundle
    # Polars costs 0.2 s and 25 MB, which a server without newer products need not pay.
    import polars as pl

    from app.model.new_products import extended, money_in

    file = io.BytesIO(content)
    columns = [name for name in pl.read_parquet_schema(file) if name in READ or name in bundle.catalogue.attributes]
    file.seek(0)
    # Not null: that would bring back the price in the bundle's currency, which no longer applies.
    products = money_in(pl.read_parquet(file, columns=columns), bundle.catalogue.currency, unknown=-1)
    return extended(bundle, products, now=now)


def _says_nothing_new(bundle: Bundle, content: bytes, *, now: datetime) -> bool:
    """True when the bundle was trained on this very table and holds no product that is still new."""
    if hashlib.sha256(content).hexdigest() != bundle.manifest["config"].get("products_sha256"):
        return False
    return bundle.content is None or not bundle.content.has_new(now)
