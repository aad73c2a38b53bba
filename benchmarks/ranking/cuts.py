"""Further shops for the protocols of ranking quality: cut from listening sessions, or made up."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.ranking.protocols import Protocol, json_lines, truth_of
from training.metrics.ranking import Wide

YEAR_FROM = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_DAYS = 365
MIN_STEPS = 5
TASTES = 40
HELD_OUT_SHARE = 0.1

Numbers = npt.NDArray[np.int64]


def last_purchase(folder: Path, source: Path, *, query_count: int = 6000, seed: int = 1) -> Protocol:
    """Sessions of five steps and more as customers' dated purchases of one product each; the last is to be found.

    The n steps of a customer lie 365 / n days apart, the first at a random part of that after 1 January. The last one
    is held out; at most `query_count` customers to whom it is new are queried, all products that they do not have
    are ranked.
    """
    chance = random.Random(seed)
    sessions = [one for one in json_lines(source / "train.jsonl.gz") if len(one) >= MIN_STEPS]
    lines = [
        (f"c{number}", str(product), YEAR_FROM + timedelta(days=day))
        for number, steps in enumerate(sessions)
        for product, day in zip(steps[:-1], _days(len(steps), chance), strict=False)
    ]
    queried = [number for number, steps in enumerate(sessions) if steps[-1] not in steps[:-1]]
    queried = sorted(chance.sample(queried, min(query_count, len(queried))))
    frame = pl.DataFrame(lines, schema=["customer_id", "product_id", "timestamp"], orient="row")
    options = {"--transactions": folder / "transactions.parquet"}
    frame.write_parquet(options["--transactions"])
    now = (YEAR_FROM + timedelta(days=YEAR_DAYS)).isoformat()
    body: dict[str, object] = {"placement": "app_home", "size": 10, "exclude": ["purchased"]}
    return Protocol(
        name="nowplaying as a year's single purchases, the last one of all unseen",
        lines=frame,
        truth={f"c{number}": frozenset([str(sessions[number][-1])]) for number in queried},
        k=10,
        import_options=options,
        request=lambda name: body | {"customer_id": name, "context": {"now": now}},
        exclude_known=True,
        plain=("nearest sessions",),
    )


def _days(step_count: int, chance: random.Random) -> list[float]:
    """The days of the steps, evenly over a year from a random phase on."""
    apart = YEAR_DAYS / step_count
    phase = chance.random()
    return [(step + phase) * apart for step in range(step_count)]


def made_up_catalogue(
    folder: Path,
    *,
    customers: int = 30_000,
    products: int = 40_000,
    pairs: int = 800_000,
    query_count: int = 6000,
    seed: int = 1,
) -> Protocol:
    """A general catalogue without times: customers with some of 40 tastes each, a tenth of their products held out.

    Each product is of one taste, its popularity Zipf's with an exponent of 0.8; how much customers buy is log-normal.
    """
    chance = np.random.default_rng(seed)
    drawn = _drawn(chance, customers=customers, products=products, draws=round(1.25 * pairs))
    frame = drawn.sample(min(pairs, drawn.height), seed=seed, shuffle=True).select(
        customer_id=pl.format("c{}", "c"), product_id=pl.format("p{}", "p")
    )
    is_held = chance.random(frame.height) < HELD_OUT_SHARE
    train, test = frame.filter(~is_held), frame.filter(is_held)
    test = test.join(train, on="customer_id", how="semi").join(train, on="product_id", how="semi")
    options = {"--transactions": folder / "transactions.csv"}
    train.write_csv(options["--transactions"])
    body: dict[str, object] = {"placement": "app_home", "size": 20, "exclude": ["purchased"]}
    return Protocol(
        name="a made-up catalogue without times, all unseen",
        lines=train,
        truth=dict(list(truth_of(test).items())[:query_count]),
        k=20,
        import_options=options,
        request=lambda name: body | {"customer_id": name},
        exclude_known=True,
    )


def _drawn(chance: np.random.Generator, *, customers: int, products: int, draws: int) -> pl.DataFrame:
    """So many draws of a customer `c` and a product `p`, each pair kept once."""
    likes = chance.dirichlet(np.full(TASTES, 0.08), customers)
    taste = chance.integers(0, TASTES, products)
    popularity = 1 / np.arange(1, products + 1) ** 0.8
    chance.shuffle(popularity)
    activity = chance.lognormal(0, 1, customers)
    counts = chance.multinomial(draws, activity / activity.sum())
    baskets = list(_baskets(chance, likes, taste, popularity, counts))
    columns = {name: np.concatenate([one[place] for one in baskets]) for place, name in enumerate("cp")}
    return pl.DataFrame(columns).unique(maintain_order=True)


def _baskets(
    chance: np.random.Generator, likes: Wide, taste: Numbers, popularity: Wide, counts: Numbers
) -> Iterator[tuple[Numbers, Numbers]]:
    """Per customer and taste: the customer's number, as often as there are products, and the products."""
    members = [np.flatnonzero(taste == one) for one in range(TASTES)]
    shares = [popularity[items] / popularity[items].sum() for items in members]
    for customer, count in enumerate(counts.tolist()):
        for one, wanted in enumerate(chance.multinomial(count, likes[customer]).tolist()):
            if wanted:
                yield np.full(wanted, customer), chance.choice(members[one], wanted, p=shares[one])
