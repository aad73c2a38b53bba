"""The measurement of ranking quality by the product's own commands, on a shop small enough for a test."""

import gzip
from pathlib import Path

import orjson

from benchmarks.quality import measure
from benchmarks.ranking.cuts import last_purchase
from benchmarks.ranking.quality_table import as_table


def test_small_shop_is_measured_whole(tmp_path: Path) -> None:
    # Who took three products in a row takes the next: after 12 comes 0.
    sessions = [[(start + step) % 13 for step in range(6)] for start in range(13) for _ in range(8)]
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, sessions))))
    result = measure(last_purchase(tmp_path, tmp_path), tmp_path, budget_minutes=0)
    assert [ranking.name for ranking in result.rankings] == ["endcap", "popularity", "plain ALS", "nearest sessions"]
    figures = {ranking.name: ranking.figures["ndcg"].mean for ranking in result.rankings}
    assert figures["endcap"] > figures["popularity"]
    assert result.cpu_seconds > 0
    assert result.peak_mib > 50
    assert orjson.loads(orjson.dumps(result.document()))["customers"] == 104
    assert as_table({"single": result}, {}).count("\n| single") == 4
