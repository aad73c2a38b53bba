"""How well products without any history find their buyers, and how soon after its import one is recommended.

    python -m benchmarks.speed.cold_start --data-dir var [--imports 20]

Quality: a random tenth of the products with at least five buyers is taken out of history and product table; factors and
content map are learned from the rest, then the products come back as a newer product table brings them. Each customer's
ranking of them, by the fit that serving uses and by simpler ways, is compared with what that customer bought of them.
Speed: in a copy of the data directory, products are imported by `endcap import` during a running `endcap up`.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.customer.context import Context, make_context
from app.decision.ranking.features import COLUMNS
from app.decision.slate.new_products import new_product_fit
from app.domain import Floats, Ints, Query
from app.history import History
from app.model.bundle import Bundle
from app.model.new_products import extended
from app.settings import Settings
from benchmarks.support import machine
from benchmarks.support.servers import Server, endcap_up, post_json
from training.data.dataset import Dataset, load_interactions
from training.learners.bundle_contents import Hyperparameters, learn_contents
from training.learners.content import with_content
from training.learners.factors import AlsSettings
from training.metrics.ranking import rank_metrics
from training.queries.states import states_as_of
from training.ranking.blend import default_blend
from training.release.assemble import bundle_of
from training.release.publish import Facts

HIDDEN_RATIO = 0.1
MIN_BUYERS = 5
CUTOFF = 20
BEST_CUSTOMERS_RATIO = 0.05
GIVE_UP_S = 10.0


@dataclass(frozen=True, slots=True)
class HiddenProducts:
    """The products taken out, as items of `bundle`, in which they are new, and who had bought them."""

    bundle: Bundle
    contexts: list[Context]
    truth: list[Ints]


def hide(settings: Settings, folder: Path, *, seed: int) -> HiddenProducts:
    """The bundle that never saw a tenth of the products, with those products in its newer product table."""
    history = History(settings.history_dir).scan()
    products = pl.read_parquet(settings.tables_dir / "products.parquet")
    everything = load_interactions(history, products)
    hidden = _chosen(everything, products, seed=seed)
    shown = ~pl.col("product_id").is_in(hidden)
    rest = load_interactions(history.filter(shown), products.filter(shown))
    parts = learn_contents(
        rest, Hyperparameters(AlsSettings(), None, default_blend(COLUMNS), excludes_purchased=False), seed=seed
    )
    facts = Facts(datetime.now(UTC))
    bundle = bundle_of(folder, facts, with_content(parts, rest, None))
    grown = extended(bundle, products, now=datetime.now(UTC))
    bought = _bought(everything, hidden, grown)
    customers = [code for code, name in enumerate(rest.customer_ids) if name in bought]
    states = states_as_of(history.filter(shown), products.lazy(), rest, customers)
    query = Query(placement="app_home", size=CUTOFF, now_at=datetime.fromtimestamp(rest.as_of_day * 86_400, UTC))
    names = [rest.customer_ids[code] for code in customers if rest.customer_ids[code] in states]
    contexts = [make_context(query, grown, states[name], stale_after_s=float("inf")) for name in names]
    return HiddenProducts(grown, contexts, [bought[name] for name in names])


def _chosen(dataset: Dataset, products: pl.DataFrame, *, seed: int) -> list[str]:
    """Of the products that the table describes a tenth of those with enough buyers."""
    pairs = np.unique(np.stack([dataset.item, dataset.customer]), axis=1)
    buyers = np.bincount(pairs[0], minlength=len(dataset.product_ids))
    described = pl.Series(dataset.product_ids).is_in(products["product_id"].implode()).to_numpy()
    able = np.flatnonzero((buyers >= MIN_BUYERS) & described)
    chosen = np.random.default_rng(seed).choice(able, int(HIDDEN_RATIO * len(able)), replace=False)
    return [dataset.product_ids[item] for item in np.sort(chosen)]


def _bought(dataset: Dataset, hidden: list[str], bundle: Bundle) -> dict[str, Ints]:
    """Per customer id the hidden products they bought, as items of the bundle."""
    find, wanted = bundle.catalogue.item_of, set(hidden)
    lines = pl.DataFrame({"customer": dataset.customer, "item": dataset.item}).unique().sort("customer", "item")
    bought: dict[str, list[int]] = {}
    for customer, item in lines.iter_rows():
        if dataset.product_ids[item] in wanted:
            bought.setdefault(dataset.customer_ids[customer], []).append(find[dataset.product_ids[item]])
    return {name: np.array(items, np.int32) for name, items in bought.items()}


def quality(found: HiddenProducts, *, seed: int) -> dict[str, object]:
    """Recall and NDCG of every way to rank the hidden products, and whom of its buyers a product would have found."""
    new_products = found.bundle.new_products
    assert new_products is not None
    items = new_products.items
    ways = {
        "by chance": np.random.default_rng(seed).random((len(found.contexts), len(items)), np.float32),
        "categories that sell most": np.tile(_sold_in_category(found.bundle, items), (len(found.contexts), 1)),
        "own purchases in the category": np.stack([_own_in_category(context, items) for context in found.contexts]),
        "content vector": np.stack([_taste(context, items) for context in found.contexts]),
        "fit, as served": np.stack([new_product_fit(context, items) for context in found.contexts]),
    }
    return {
        "hidden_products": len(items),
        "customers": len(found.contexts),
        "ways": {name: _figures(scores, items, found.truth, seed=seed) for name, scores in ways.items()},
    }


def _figures(scores: Floats, items: Ints, truth: list[Ints], *, seed: int) -> dict[str, float]:
    """Equal scores fall as they may: a way that tells products apart no further shall not gain by their order."""
    shuffled = np.random.default_rng(seed).permutation(len(items))
    order = shuffled[np.argsort(-scores[:, shuffled], axis=1, kind="stable")[:, :CUTOFF]]
    metrics = rank_metrics([items[row] for row in order], truth, k=CUTOFF)
    figures = {f"{name}@{CUTOFF}": round(metrics[name], 4) for name in ("hit", "recall", "ndcg")}
    return figures | {"buyers_among_best_customers": _buyers_found(scores, items, truth, seed=seed)}


def _buyers_found(scores: Floats, items: Ints, truth: list[Ints], *, seed: int) -> float:
    """Per product the share of its buyers among the customers it fits best, averaged over the products."""
    bought = np.stack([np.isin(items, wanted) for wanted in truth])
    count = int(BEST_CUSTOMERS_RATIO * len(truth))
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    best = shuffled[np.argsort(-scores[shuffled], axis=0, kind="stable")[:count]]
    found = np.take_along_axis(bought, best, axis=0).sum(axis=0)
    return round(float((found / np.maximum(bought.sum(axis=0), 1)).mean()), 4)


def _category(bundle: Bundle) -> Ints:
    """The category of every item; unknown ones share the last code."""
    column = bundle.catalogue.attributes["category"]
    return np.where(column.codes < 0, len(column.vocabulary), column.codes)


def _sold_in_category(bundle: Bundle, items: Ints) -> Floats:
    category, known = _category(bundle), bundle.popularity > 0
    sold = np.bincount(category[known], bundle.popularity[known], category.max() + 1)
    products = np.bincount(category[known], minlength=category.max() + 1)
    return (sold / np.maximum(products, 1))[category[items]].astype(np.float32)


def _own_in_category(context: Context, items: Ints) -> Floats:
    category, bought = _category(context.bundle), context.bought
    own = np.bincount(category[bought.items], bought.weight_112d, category.max() + 1)
    return own[category[items]].astype(np.float32)


def _taste(context: Context, items: Ints) -> Floats:
    user = np.zeros(context.bundle.item_factors.shape[1], np.float32) if context.user is None else context.user
    taste: Floats = context.bundle.item_factors[items] @ user
    return taste


def speed(settings: Settings, folder: Path, *, count: int, seed: int) -> dict[str, object]:
    """Seconds from the end of `endcap import` to the first answer with the product, one product after the other."""
    copy = folder / "var"
    shutil.copytree(settings.data_dir, copy)
    favourites = _favourites(Settings.load(data_dir=copy), count, seed=seed)
    seconds, earlier = [], None
    with endcap_up(copy) as service:
        for number, (customer_id, row) in enumerate(favourites):
            new = {**row, "product_id": f"cold-start-{number}", "recommendable": "yes"}
            withdrawn: list[dict[str, object]] = [] if earlier is None else [{**earlier, "recommendable": "no"}]
            path = folder / "new.csv"
            pl.DataFrame([*withdrawn, new], infer_schema_length=None).write_csv(path)
            _import(path, copy)
            seconds.append(_seconds_until_shown(service.server, customer_id, str(new["product_id"])))
            earlier = new
    seen = sorted(second for second in seconds if second is not None)
    return {
        "imports": count,
        "shown": len(seen),
        "seconds_from_end_of_import": {"median": round(float(np.median(seen)), 3), "max": round(seen[-1], 3)},
    }


def _favourites(settings: Settings, count: int, *, seed: int) -> list[tuple[str, dict[str, object]]]:
    """Random customers, each with the table's row of the product that they bought most."""
    products = pl.read_parquet(settings.tables_dir / "products.parquet").drop("listed_at", strict=False)
    lines = (
        History(settings.history_dir)
        .scan()
        .filter(pl.col("customer_id").is_not_null())
        .select("customer_id", "product_id")
    )
    counted = lines.collect().group_by("customer_id", "product_id").len().join(products, on="product_id")
    shown = counted.filter(pl.col("recommendable").fill_null("yes") == "yes", pl.col("category").is_not_null())
    most = (
        shown.sort("len", "product_id", descending=True)
        .unique("customer_id", keep="first", maintain_order=True)
        .sort("customer_id")
    )
    chosen = most.sample(count, seed=seed)
    return [(str(row.pop("customer_id")), row) for row in chosen.drop("len").iter_rows(named=True)]


def _import(path: Path, data_dir: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "import",
        "--products",
        str(path),
        "--data-dir",
        str(data_dir),
        "--json",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds_until_shown(server: Server, customer_id: str, product_id: str) -> float | None:
    """None when it is not shown in time."""
    ended, connection = perf_counter(), server.connection()
    try:
        while perf_counter() - ended < GIVE_UP_S:
            body = {"customer_id": customer_id, "placement": "app_home"}
            status, answer = post_json(connection, "/v1/decisions", body)
            assert status == 200, answer
            propositions = answer["propositions"]
            assert isinstance(propositions, list)
            if any(proposition["product_id"] == product_id for proposition in propositions):
                return perf_counter() - ended
        return None
    finally:
        connection.close()


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--imports", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    facts = machine.facts()
    with TemporaryDirectory(prefix="endcap-cold-start-") as made, threadpool_limits(1):
        figures = quality(hide(settings, Path(made), seed=given.seed), seed=given.seed)
        soon = speed(settings, Path(made), count=given.imports, seed=given.seed) if given.imports else None
    machine.show({"benchmark": "cold_start", **facts, "quality": figures, "speed": soon})


if __name__ == "__main__":
    main()
