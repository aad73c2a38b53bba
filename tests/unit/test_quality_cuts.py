"""The shops that the measurement of ranking quality cuts or makes up hold what they say, the same in every run."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import polars as pl

from benchmarks.ranking.cuts import last_purchase, made_up_catalogue

SESSIONS = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4], [7, 8, 9, 7, 8], [2, 4, 6, 8, 10]]


def packed(folder: Path, sessions: Sequence[Sequence[int]]) -> Path:
    """The folder with these sessions as its training file."""
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, sessions))))
    return folder


def test_long_sessions_become_a_purchase_a_step_over_a_year_and_the_last_step_is_the_truth(tmp_path: Path) -> None:
    cut = last_purchase(tmp_path, packed(tmp_path, SESSIONS))
    assert cut.truth == {"c0": frozenset({"6"}), "c2": frozenset({"10"})}, "what c1 took last was not new to it"
    assert cut.lines.filter(pl.col("customer_id") == "c0")["product_id"].to_list() == ["1", "2", "3", "4", "5"]
    days = cut.lines.filter(pl.col("customer_id") == "c0")["timestamp"].to_list()
    apart = {round((later - earlier) / timedelta(days=1), 3) for earlier, later in pairwise(days)}
    assert apart == {round(365 / 6, 3)}
    assert datetime(2025, 1, 1, tzinfo=UTC) <= days[0] < days[0] + timedelta(days=365 / 6) <= days[1]
    assert pl.read_parquet(cut.import_options["--transactions"]).equals(cut.lines)


def test_made_up_customers_are_queried_products_that_they_do_not_have(tmp_path: Path) -> None:
    made = made_up_catalogue(tmp_path, customers=60, products=200, pairs=900, query_count=20)
    owned = made.lines.group_by("customer_id").agg("product_id")
    bought = {name: frozenset(products) for name, products in owned.iter_rows()}
    assert len(made.truth) == 20
    assert all(wanted and not wanted & bought[name] for name, wanted in made.truth.items())
    assert made.lines.height + sum(map(len, made.truth.values())) <= 900
    assert made.lines.is_unique().all()
    again = made_up_catalogue(tmp_path, customers=60, products=200, pairs=900, query_count=20)
    assert (again.truth, again.lines.equals(made.lines)) == (made.truth, True)
