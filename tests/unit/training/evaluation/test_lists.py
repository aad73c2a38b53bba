"""Plain rankings, and the evaluator checked on one of them with films."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.domain import Ints
from tests.support.repository import ROOT
from training.evaluation.lists import factor_lists, frequency_lists, popularity_lists
from training.metrics.ranking import rank_metrics

SHARED_DATA = Path(os.environ.get("ENDCAP_SHARED_DATA", ROOT.parent / "shared" / "data"))
K = 20


def items(*values: int) -> Ints:
    return np.array(values, np.int32)


def test_popularity_leaves_out_what_is_hidden_and_fills_up() -> None:
    popularity = np.linspace(1, 0, 30, dtype=np.float32)
    everyone, other = popularity_lists(popularity, [items(), items(0, 2, 3)])
    assert everyone.tolist() == list(range(20))
    assert other.tolist() == [1, *range(4, 23)]


def test_own_products_come_first_and_popular_ones_fill_up() -> None:
    (filled,) = frequency_lists([items(7, 3)], [np.arange(25, dtype=np.int32)[:20]])
    assert filled.tolist() == [7, 3, 0, 1, 2, 4, 5, 6, *range(8, 20)]


def test_factor_lists_rank_all_products_by_inner_product_but_the_hidden() -> None:
    random = np.random.default_rng(3)
    factors, users = random.normal(size=(50, 4)).astype(np.float32), random.normal(size=(300, 4)).astype(np.float32)
    lists = factor_lists(factors, users, [items(5)] * 300)
    for user, found in zip(users, lists, strict=True):
        order = [item for item in np.argsort(-(factors @ user)).tolist() if item != 5]
        assert found.tolist() == order[:20]


def test_factor_lists_end_where_a_small_catalogue_does() -> None:
    (found,) = factor_lists(np.eye(3, dtype=np.float32), np.array([[3, 1, 2]], np.float32), [items(0)])
    assert found.tolist() == [2, 1]


@pytest.mark.skipif(not (SHARED_DATA / "ml-1m").is_dir(), reason="needs ml-1m in ENDCAP_SHARED_DATA")
def test_popularity_on_ml_1m_scores_as_a_plain_loop_says() -> None:
    bought, wanted = (_pairs(SHARED_DATA / "ml-1m" / f"{part}.csv.gz") for part in ("train", "test"))
    counts: dict[int, int] = {}
    for films in bought.values():
        for film in films:
            counts[film] = counts.get(film, 0) + 1
    ranking = sorted(counts, key=lambda film: (-counts[film], film))
    recalls, gains = [], []
    for person, films in wanted.items():
        shown = [film for film in ranking if film not in bought.get(person, ())][:K]
        recalls.append(sum(film in films for film in shown) / len(films))
        gained = sum(1 / np.log2(position + 2) for position, film in enumerate(shown) if film in films)
        gains.append(gained / sum(1 / np.log2(position + 2) for position in range(min(K, len(films)))))

    popularity = np.zeros(max(counts) + 1, np.float32)
    popularity[list(counts)] = list(counts.values())
    lists = popularity_lists(popularity, [items(*sorted(bought.get(person, ()))) for person in wanted])
    measured = rank_metrics(lists, [items(*sorted(films)) for films in wanted.values()], k=K)
    assert (measured["recall"], measured["ndcg"]) == pytest.approx((np.mean(recalls), np.mean(gains)), abs=1e-9)
    assert len(wanted) > 6000
    assert 0.05 < measured["recall"] < 0.25


def _pairs(path: Path) -> dict[int, set[int]]:
    lines = pl.read_csv(path).group_by("customer_id").agg("product_id").sort("customer_id")
    return {person: set(films) for person, films in lines.iter_rows()}
