"""A wrong import that was corrected leaves nothing: history, tables, features and model are those of a clean start."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import redis
from polars.testing import assert_frame_equal

from app.history import History
from app.history.rows import IMPORT_ID, ROW_ID
from app.imports.journal.records import Intake
from app.imports.run import Sources, run_imports
from app.imports.undo import list_imports, undo_import
from app.model.bundle import current_version
from app.settings import Settings
from app.stores.feast.online_row import customer_key, entity_key
from feature_repo.sources import table_path
from tests.support.world import END, World, no_progress, products, transactions
from training.features.materialize import ONLINE_VIEWS
from training.run import train

OF_ITS_OWN = {
    *("version", "created_at", "seconds", "releases", "imports", "products_sha256", "files", "sha256"),
    # What the live bundle's settings would give: there was none before the clean one.
    "live settings",
}
"""What a manifest says of when and next to which other bundle it was made, and of the files that a footer is in."""


def _import(settings: Settings, sources: Sources, *, replaces: str | None = None) -> str:
    intake = Intake(replaces=replaces)
    (report,) = run_imports(settings, sources, shift_to_now=False, now=END, progress=no_progress, intake=intake)
    return str(report.import_id)


def _train(settings: Settings, redis_url: str) -> str:
    """The new bundle's version; the gate may keep serving the one that was trained on what was wrong."""
    report = train(settings, redis_url, budget_s=0, seed=0, publish=True, progress=no_progress)
    return report.version


def _rows(settings: Settings) -> pl.DataFrame:
    return History(settings.history_dir).scan().drop(IMPORT_ID).sort(ROW_ID).collect()


def _bundle(settings: Settings, version: str) -> dict[str, Any]:
    folder = settings.bundles_dir / version
    return {path.name: _content(path) for path in sorted(folder.iterdir())}


def _content(path: Path) -> object:
    if path.suffix == ".json":
        return _without_its_own(json.loads(path.read_text()))
    if path.suffix == ".npy":
        array = np.load(path)
        return array.dtype, array.shape, array.tobytes()
    return path.read_bytes()


def _without_its_own(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_its_own(one) for name, one in value.items() if name not in OF_ITS_OWN}
    return [_without_its_own(one) for one in value] if isinstance(value, list) else value


def _served(redis_url: str, settings: Settings) -> dict[bytes, dict[bytes, bytes]]:
    keys = [customer_key(name) for name in _rows(settings)["customer_id"].unique().sort()]
    keys += [entity_key("product_id", name) for name in _rows(settings)["product_id"].unique().sort()]
    with redis.Redis.from_url(redis_url) as client:
        return {key: dict(client.hgetall(key)) for key in keys}


def test_corrected_directory_equals_a_clean_one(trained_world: World, valkey: str, tmp_path: Path) -> None:
    clean = trained_world.settings
    settings = Settings.load(data_dir=tmp_path / "var", redis_url=valkey)
    right = transactions()
    # Customers of another kind, a month too early, and a third of the right rows.
    wrong = right.with_columns(
        ("card-" + pl.col("customer_id")).alias("customer_id"), pl.col("timestamp").dt.offset_by("-30d")
    )
    wrong.vstack(right.gather_every(3)).write_parquet(tmp_path / "wrong.parquet")
    right.write_parquet(tmp_path / "right.parquet")
    right.gather_every(7).write_csv(tmp_path / "part.csv")
    products().with_columns(pl.lit("?").alias("department")).write_csv(tmp_path / "wrong.csv")
    products().write_csv(tmp_path / "right.csv")
    wrong_products = _import(settings, Sources(products=tmp_path / "wrong.csv"))
    wrong_lines = _import(settings, Sources(transactions=tmp_path / "wrong.parquet"))
    part = _import(settings, Sources(transactions=tmp_path / "part.csv"))
    _train(settings, valkey)
    _import(settings, Sources(products=tmp_path / "right.csv"), replaces=wrong_products)
    _import(settings, Sources(transactions=tmp_path / "right.parquet"), replaces=wrong_lines)
    undo_import(settings, part, now=END)
    assert sorted(one.status for one in list_imports(settings)) == ["done", "done", "replaced", "replaced", "undone"]
    version = _train(settings, valkey)
    assert_frame_equal(_rows(settings), _rows(clean))
    assert_frame_equal(*(pl.read_parquet(one.tables_dir / "products.parquet") for one in (settings, clean)))
    for view in (*ONLINE_VIEWS, "customer_activity"):
        assert_frame_equal(*(pl.read_parquet(table_path(one.features_dir, view)) for one in (settings, clean)))
    assert _served(valkey, settings) == _served(trained_world.redis_url, clean)
    with redis.Redis.from_url(valkey) as client:
        assert not client.exists(customer_key("card-tea-lover-1"))
    corrected, expected = _bundle(settings, version), _bundle(clean, current_version(clean.bundles_dir))
    assert corrected.keys() == expected.keys()
    assert [name for name, content in expected.items() if corrected[name] != content] == []
