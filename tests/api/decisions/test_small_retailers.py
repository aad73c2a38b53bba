"""Histories at the edge of the useful: each trains, publishes and answers through the product's own steps."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.commands.recommend import recommend
from app.errors import BadInput
from app.imports.run import Sources, run_imports
from app.settings import Settings
from tests.support.world import no_progress
from training.run import evaluate, train

NOW = datetime(2026, 10, 1, tzinfo=UTC)
VIEW = (
    '{{"id": "{0}-{1}", "type": "view_item", "time": "2026-09-0{0}T10:0{1}:00Z", '
    '"anonymous_id": "s{0}", "product_id": "p{1}"}}\n'
)
HEAD = "customer_id,product_id,timestamp\n"
HISTORIES = {
    "pairs without time": "customer_id,product_id\n1,a\n1,b\n2,a\n2,c\n3,b\n",
    "one line": "customer_id,product_id\n1,a\n",
    "one day": HEAD + "".join(f"{c},p{(c * p) % 7},2026-09-01\n" for c in range(9) for p in range(5)),
    "some lines without time": HEAD + "1,a,2026-09-01\n1,b,\n2,a,2026-09-03\n2,b,2026-09-20\n",
    "foreign names": HEAD + "Zoë,crème brûlée,2026-09-01\nZoë,茶,2026-09-08\n李,茶,2026-09-09\n",
}


def answer(settings: Settings, redis_url: str, folder: Path, **body: object) -> dict[str, Any]:
    source, target = folder / "ask.jsonl", folder / "answer.jsonl"
    source.write_bytes(orjson.dumps({"placement": "app_home"} | body))
    asyncio.run(recommend(settings, redis_url, source, target, progress=no_progress))
    slate: dict[str, Any] = orjson.loads(target.read_bytes())
    return slate


def learned(folder: Path, redis_url: str, sources: Sources) -> Settings:
    settings = Settings.load(data_dir=folder / "var", redis_url=redis_url)
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    train(settings, redis_url, budget_s=0, seed=0, publish=True, progress=no_progress)
    return settings


@pytest.mark.parametrize("name", HISTORIES)
def test_small_history_trains_and_answers(name: str, tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "transactions.csv"
    path.write_text(HISTORIES[name])
    settings = learned(tmp_path, valkey, Sources(transactions=path))
    customer_id, product_id = HISTORIES[name].splitlines()[1].split(",")[:2]
    shown = answer(settings, valkey, tmp_path, customer_id=customer_id)
    assert product_id in [proposition["product_id"] for proposition in shown["propositions"]]
    unknown = answer(settings, valkey, tmp_path, anonymous_id="nobody", context={"recent": [product_id]})
    assert unknown["propositions"]
    assert evaluate(settings, seed=0, progress=no_progress).version == shown["model_version"]


def test_views_of_anonymous_sessions_are_enough(tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(VIEW.format(day, minute) for day in range(1, 10) for minute in range(day % 3, 6)))
    settings = learned(tmp_path, valkey, Sources(events=path))
    shown = answer(settings, valkey, tmp_path, anonymous_id="new", context={"recent": ["p3"]})
    assert len(shown["propositions"]) == 6


def test_visitors_who_look_and_buy_once_teach_what_is_bought_next(tmp_path: Path, valkey: str) -> None:
    """Four visits a day for three months: a case is bought after the phone that it fits."""
    rows = [
        {"id": f"{visit}-{step}", "type": kind, "anonymous_id": f"v{visit}", "product_id": product}
        | {"time": NOW - timedelta(hours=6 * visit, minutes=-step)}
        for visit in range(360)
        for step, (kind, product) in enumerate(
            [
                ("view_item", "charger"),
                ("view_item", f"phone {visit % 4}"),
                ("purchase", f"case {visit % 4}"),
            ]
        )
    ]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    settings = learned(tmp_path, valkey, Sources(events=path))
    for number in range(4):
        shown = answer(settings, valkey, tmp_path, anonymous_id="new", context={"recent": [f"phone {number}"]})
        assert shown["propositions"][0]["product_id"] == f"case {number}"
    manifest = orjson.loads((settings.bundles_dir / shown["model_version"] / "manifest.json").read_bytes())
    assert manifest["metrics"]["endcap"]["customers"] > 30
    assert manifest["metrics"]["endcap"]["mrr@10"] > 0.9
    report = next(settings.reports_dir.glob("*.html")).read_text()
    assert "queries with what the customer had just viewed" in report


def test_postage_in_every_parcel_is_recommended_to_nobody_unless_the_table_wants_it(
    tmp_path: Path, valkey: str
) -> None:
    chance = np.random.default_rng(1)
    orders = [
        f"c{customer},{name},o{customer}-{week},{(NOW - timedelta(days=7 * week, hours=customer)).isoformat()},{amount}"
        for week in range(1, 12)
        for customer in range(30)
        for name, amount in ((f"mug {chance.integers(6)}", 9.5), ("POST", 1.5 * chance.integers(1, 17)))
        if name != "POST" or chance.random() < 0.7
    ]
    rows = [*(f"mug {number},Mug,Mugs" for number in range(7)), "POST,Postage,", "B7,Carrier bag,Mugs"]
    (tmp_path / "orders.csv").write_text("\n".join(["customer_id,product_id,basket_id,timestamp,amount", *orders]))
    (tmp_path / "products.csv").write_text("\n".join(["product_id,name,category", *rows]))
    sources = Sources(transactions=tmp_path / "orders.csv", products=tmp_path / "products.csv")
    settings = learned(tmp_path, valkey, sources)
    for who in ({"customer_id": "c3"}, {"anonymous_id": "new"}):
        shown = answer(settings, valkey, tmp_path, **who, size=20)
        names = {one["product_id"] for one in shown["propositions"]}
        assert "POST" not in names
        assert "mug 3" in names
    manifest = orjson.loads((settings.bundles_dir / shown["model_version"] / "manifest.json").read_bytes())
    non_goods = {one["product_id"]: one["is_left_out"] for one in manifest["config"]["non_goods"]}
    assert non_goods == {"POST": True, "B7": False}
    report = (settings.reports_dir / f"{shown['model_version']}.html").read_text()
    assert "its id says so; its name says so" in report
    (tmp_path / "wanted.csv").write_text("product_id,recommendable\nPOST,yes\n")
    settings = learned(tmp_path, valkey, Sources(products=tmp_path / "wanted.csv"))
    shown = answer(settings, valkey, tmp_path, customer_id="c3", size=20)
    assert shown["propositions"][0]["product_id"] == "POST"


def test_where_promotions_decide_what_is_bought_the_coming_one_rises(tmp_path: Path, valkey: str) -> None:
    """180 customers buy a staple each week, and what is in the flyer: one of six products.

    Without the flyer the coming one would stand behind the five others.
    """
    weeks = [NOW - timedelta(days=7 * back) for back in range(26, -1, -1)]
    in_flyer = [f"deal {number}" for number in [*np.random.default_rng(1).integers(6, size=len(weeks) - 1), 5]]
    flyer = [f"{name},{start.isoformat()},1" for name, start in zip(in_flyer, weeks, strict=True)]
    lines = [
        f"c{customer},{name},{(start + timedelta(hours=customer % 150)).isoformat()},s"
        for start, deal in zip(weeks[:-1], in_flyer, strict=False)
        for customer in range(180)
        for name in (deal, f"staple {customer % 12}")
    ]
    (tmp_path / "lines.csv").write_text("\n".join(["customer_id,product_id,timestamp,store_id", *lines]))
    (tmp_path / "flyer.csv").write_text("\n".join(["product_id,starts_at,flyer", *flyer]))
    sources = Sources(transactions=tmp_path / "lines.csv", promotions=tmp_path / "flyer.csv")
    settings = learned(tmp_path, valkey, sources)
    expected = in_flyer[-1]
    shown = answer(settings, valkey, tmp_path, customer_id="c7", context={"now": NOW.isoformat(), "store_id": "s"})
    names = [proposition["product_id"] for proposition in shown["propositions"]]
    assert names.index(expected) <= 2
    unknown = answer(settings, valkey, tmp_path, anonymous_id="new", context={"now": NOW.isoformat()})
    reasons = {row["product_id"]: row["reasons"][0]["code"] for row in unknown["propositions"]}
    assert [name for name, code in reasons.items() if code == "on_promotion"] == [expected]
    report = next(settings.reports_dir.glob("*.html")).read_text()
    assert "share_of_lines_on_promotion" in report


def test_products_alone_are_nothing_to_learn_from(tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "products.csv"
    path.write_text("product_id,name\na,Apple\n")
    with pytest.raises(BadInput, match="endcap import --transactions"):
        learned(tmp_path, valkey, Sources(products=path))


def test_guests_and_products_with_columns_of_any_name_are_enough(tmp_path: Path, valkey: str) -> None:
    sales, products = tmp_path / "sales.csv", tmp_path / "products.csv"
    lines = [f"Guest,p{n % 4},r{n // 2},2026-09-{1 + n % 28:02},1" for n in range(60)]
    sales.write_text("\n".join(["customer_id,product_id,basket_id,timestamp,amount", *lines]))
    header = f"product_id,name,Size (0/1),{'x' * 300},Größe"
    products.write_text("\n".join([header, *(f"p{n},N{n},{n % 2},a,b" for n in range(4))]))
    settings = learned(tmp_path, valkey, Sources(files=(sales, products)))
    shown = answer(settings, valkey, tmp_path, anonymous_id="new", filters={"size (0/1)": ["1"]})
    assert "propositions" in shown, shown
    assert {each["product_id"] for each in shown["propositions"]} == {"p1", "p3"}
