"""The measurement of ranking quality by the product's own commands, on a shop small enough for a test."""

import gzip
import random
from pathlib import Path

import orjson

from benchmarks.quality import measure
from benchmarks.ranking.cuts import last_purchase
from benchmarks.ranking.quality_table import as_table


def test_small_shop_is_measured_whole(tmp_path: Path) -> None:
    # The next number follows in three cases of five, any in the others: a leak would be suspected of what is certain.
    chance = random.Random(0)
    sessions = [[chance.randrange(40)] for _ in range(200)]
    for steps in sessions * 6:
        steps.append((steps[-1] + 1) % 40 if chance.random() < 0.6 else chance.randrange(40))
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, sessions))))
    shop = last_purchase(tmp_path, tmp_path)
    result = measure(shop, tmp_path, budget_minutes=0)
    assert [ranking.name for ranking in result.rankings] == ["endcap", "popularity", "plain ALS", "nearest sessions"]
    figures = {ranking.name: ranking.figures["ndcg"].mean for ranking in result.rankings}
    assert figures["endcap"] > figures["popularity"]
    assert result.cpu_seconds > 0
    assert result.peak_mib > 50
    assert orjson.loads(orjson.dumps(result.document()))["customers"] == len(shop.truth)
    assert as_table({"single": result}, {}).count("\n| single") == 4
