"""A bundle answers every held-out query, and its slates are measured against plain rankings: the evaluation itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.domain import Ints
from app.model.bundle import Bundle
from app.ports import Progress
from training.data.dataset import Dataset
from training.data.shop import shop_facts
from training.data.split import Split
from training.evaluation.baselines import Baselines
from training.evaluation.lists import LIST_LENGTH, factor_lists, popularity_lists, served_slates, without_owned
from training.evaluation.questions import questions_of
from training.evaluation.ranked import (
    CUTOFF,
    FIGURES,
    RankedQueries,
    calibration_of_shown,
    measured_on,
    ranked_queries,
    source_shares,
    user_vectors,
    values_of,
)
from training.evaluation.results import (
    PRODUCT,
    EvaluationResults,
    Group,
    MetricEstimate,
    Protocol,
    RankingMetrics,
    estimate,
    estimates,
    ranking_metrics,
)
from training.evaluation.segments import Segment
from training.metrics.calibration import Reliability, reliability
from training.metrics.exposure import attribute_diversity, coverage, factor_diversity, novelty, popularity_groups
from training.metrics.ranking import (
    METRIC_NAMES,
    RESAMPLES,
    Wide,
    found_positions,
    per_customer,
    side_by_side,
    truth_sizes,
)
from training.metrics.rule_comparison import PLAIN_ALS, POPULARITY
from training.queries.evaluation_queries import EvaluationQueries, with_baskets
from training.queries.shared_out import HERE, SharedOut
from training.queries.states import as_of_instant

SEGMENT_FIGURES = ("hit@10", "recall@10", "ndcg@10")
CURVES = ("hit", "recall", "precision", "ndcg")
GROUPING_ATTRIBUTES = ("category", "department", "brand")
"""The first of these that the catalogue has measures how mixed a list is."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is evaluated: a bundle that saw nothing since the cut, its queries, and how the customers are grouped.

    `dataset` is whole, with the held-out baskets. `shared` answers the queries.
    """

    bundle: Bundle
    dataset: Dataset
    split: Split
    queries: EvaluationQueries
    segments: Sequence[Segment]
    seed: int
    baselines: Baselines
    shared: SharedOut = HERE


def evaluate_bundle(case: Case, progress: Progress) -> EvaluationResults:
    """The results, the same for the same seed. Every query goes through `rank` itself, each kind once."""
    without_basket = _without_basket(case, progress)
    with_basket = _with_basket(case, progress)
    values = {name: values_of(lists, without_basket.queries.truth) for name, lists in without_basket.lists.items()}
    shown = {name: lists[:, :CUTOFF] for name, lists in without_basket.lists.items()}
    return EvaluationResults(
        protocol=_protocol(case, without_basket),
        shop=shop_facts(case.dataset),
        rankings={name: ranking_metrics(table, FIGURES, seed=case.seed) for name, table in values.items()},
        versus=_versus(values, seed=case.seed),
        curves={name: _curves(lists, without_basket.queries.truth) for name, lists in without_basket.lists.items()},
        parts=_parts(case, without_basket, progress),
        questions=questions_of(without_basket, with_basket, case.bundle.catalogue, seed=case.seed),
        segments={segment.kind: _groups(segment, values, seed=case.seed) for segment in case.segments},
        calibration={
            "shown": calibration_of_shown(without_basket, seed=case.seed),
            "all candidates": _of_candidates(without_basket, seed=case.seed),
        },
        exposure=_exposure(case, shown),
        owned_places=_owned_places(without_basket),
        popularity_groups=popularity_groups(
            shown[PRODUCT],
            without_basket.queries.truth,
            np.bincount(case.split.train.item, minlength=case.bundle.item_count),
        ),
        sources={"empty basket": source_shares(without_basket, seed=case.seed)}
        | ({"basket begun": source_shares(with_basket, seed=case.seed)} if with_basket.candidates else {}),
        notes=case.baselines.notes,
    )


def _without_basket(case: Case, progress: Progress) -> RankedQueries:
    """One query per customer, every product allowed."""
    hidden = [np.zeros(0, np.int32)] * len(case.queries)
    ranked = ranked_queries(case.bundle, case.queries, hidden, partial(progress, "evaluate"), shared=case.shared)
    for name, bundle in case.baselines.bundles.items():
        own_progress = partial(progress, f"evaluate {name}")
        # Another bundle numbers its products in another way: its slates come in the numbers of the evaluated one.
        catalogue = case.bundle.catalogue
        ranked.lists[name] = served_slates(
            bundle, case.queries, own_progress, catalogue=catalogue, shared=case.shared
        ).items
    return ranked


def _with_basket(case: Case, progress: Progress) -> RankedQueries:
    """Every second customer with a part of the basket known; what is in it is neither shown nor counted."""
    queries = with_baskets(case.queries, case.bundle.catalogue.product_ids, seed=case.seed)
    queries = queries.only([row for row, query in enumerate(queries.queries) if query.basket])
    hidden = [case.bundle.catalogue.known([line.product_id for line in query.basket]) for query in queries.queries]
    own_progress = partial(progress, "evaluate with a basket")
    return ranked_queries(case.bundle, queries, hidden, own_progress, shared=case.shared)


def _parts(case: Case, without_basket: RankedQueries, progress: Progress) -> dict[str, dict[str, RankingMetrics]]:
    """The same lists measured on what is bought again and on what is new.

    Where nobody owns anything, everything is new, and these parts would repeat the whole.
    """
    owned = [one.bought.items for one in without_basket.candidates]
    pairs = list(zip(without_basket.queries.truth, owned, strict=True))
    again = [truth[np.isin(truth, items)] for truth, items in pairs]
    new = [truth[~np.isin(truth, items)] for truth, items in pairs]
    if not any(len(items) for items in owned):
        return {}
    return {
        "bought again": measured_on(without_basket.lists, again, seed=case.seed),
        "bought for the first time": measured_on(without_basket.lists, new, seed=case.seed),
        "new products": measured_on(_new_only(case, without_basket, owned, new, progress), new, seed=case.seed),
    }


def _new_only(
    case: Case, without_basket: RankedQueries, owned: Sequence[Ints], new: Sequence[Ints], progress: Progress
) -> dict[str, Ints]:
    """Lists without what the customer owns, rows of -1 where nothing new was bought."""
    rows = [row for row, items in enumerate(new) if len(items)]
    hidden = [owned[row] for row in rows]
    users = user_vectors(case.bundle, [without_basket.candidates[row] for row in rows])
    if case.bundle.scoring.get("exclude_purchased"):
        # What a customer owns was left out of these slates as well.
        slates = without_basket.only(rows).slates
    else:
        queries = without_owned(without_basket.queries.only(rows))
        own_progress = partial(progress, "evaluate new products")
        slates = served_slates(case.bundle, queries, own_progress, shared=case.shared)
    lists = {
        PRODUCT: slates.items,
        PLAIN_ALS: side_by_side(factor_lists(case.bundle.item_factors, users, hidden), k=LIST_LENGTH),
        POPULARITY: side_by_side(popularity_lists(case.bundle.popularity, hidden), k=LIST_LENGTH),
    }
    filled = {name: np.full_like(without_basket.slates.items, -1) for name in lists}
    for name, table in lists.items():
        filled[name][rows] = table
    return filled


def _curves(lists: Ints, truth: Sequence[Ints]) -> dict[str, list[float]]:
    found, sizes = found_positions(lists, truth), truth_sizes(truth)
    sums = [per_customer(found, sizes, k=k).sum(axis=0) for k in range(1, LIST_LENGTH + 1)]
    means = np.round(np.stack(sums, axis=1) / max(len(truth), 1), 6)
    return {name: means[METRIC_NAMES.index(name)].tolist() for name in CURVES}


def _versus(values: Mapping[str, Wide], *, seed: int) -> dict[str, dict[str, MetricEstimate]]:
    mine = values[PRODUCT]
    return {
        name: dict(zip(FIGURES, estimates(mine - table, seed=seed), strict=True))
        for name, table in values.items()
        if name != PRODUCT
    }


def _groups(segment: Segment, values: Mapping[str, Wide], *, seed: int) -> list[Group]:
    columns = [FIGURES.index(name) for name in SEGMENT_FIGURES]
    return [
        Group(
            name,
            {
                ranking: ranking_metrics(table[segment.code == code][:, columns], SEGMENT_FIGURES, seed=seed)
                for ranking, table in values.items()
            },
        )
        for code, name in enumerate(segment.names)
    ]


def _of_candidates(ranked: RankedQueries, *, seed: int) -> Reliability:
    chance = np.concatenate([np.zeros(0), *(one.probability for one in ranked.candidates)])
    pairs = zip(ranked.candidates, ranked.queries.truth, strict=True)
    bought = np.concatenate([np.zeros(0, np.bool_), *(np.isin(one.items, truth) for one, truth in pairs)])
    owner = np.repeat(np.arange(len(ranked.candidates)), [len(one.items) for one in ranked.candidates])
    return reliability(chance, bought, owner, seed=seed)


def _exposure(case: Case, shown: Mapping[str, Ints]) -> dict[str, dict[str, MetricEstimate]]:
    """How each ranking's first ten places look."""
    train, count = case.split.train, len(case.split.train.product_ids)
    # A customer is one buyer of a product, however often they bought it; customers times products passes int32.
    pairs = np.unique(train.customer.astype(np.int64) * max(count, 1) + train.item)
    buyers = np.bincount(pairs % max(count, 1), minlength=count)
    customers = len(np.unique(train.customer))
    return {
        name: {
            "coverage@10": _covered(lists, case.bundle),
            "novelty@10": estimate(novelty(lists, buyers, customers), seed=case.seed),
            **{name: estimate(values, seed=case.seed) for name, values in _diversity(lists, case.bundle).items()},
        }
        for name, lists in shown.items()
    }


def _owned_places(ranked: RankedQueries) -> float:
    owned = [one.bought.items for one in ranked.candidates]
    shown = ranked.slates.items[:, :CUTOFF]
    return round(float(found_positions(shown, owned).sum()) / max(int((shown >= 0).sum()), 1), 6)


def _covered(lists: Ints, bundle: Bundle) -> MetricEstimate:
    """One number for all customers together: it has no interval."""
    share = round(coverage(lists, bundle.item_count), 6)
    return MetricEstimate(share, share, share)


def _diversity(lists: Ints, bundle: Bundle) -> dict[str, Wide]:
    attributes = bundle.catalogue.attributes
    grouping = [name for name in GROUPING_ATTRIBUTES if name in attributes][:1]
    return {"factor diversity@10": factor_diversity(lists, bundle.item_factors)} | {
        f"{name} diversity@10": attribute_diversity(lists, attributes[name].codes) for name in grouping
    }


def _protocol(case: Case, without_basket: RankedQueries) -> Protocol:
    truth, is_timed = without_basket.queries.truth, case.split.kind == "time"
    sizes = truth_sizes(truth)
    owned = [
        int(np.isin(items, one.bought.items).sum()) for items, one in zip(truth, without_basket.candidates, strict=True)
    ]
    return Protocol(
        split=case.split.kind,
        target="basket" if case.dataset.has_purchases else "session",
        queries_with_views=sum(bool(query.recent) for query in without_basket.queries.queries),
        cut_at=as_of_instant(case.split.train) if is_timed else None,
        window_end_at=as_of_instant(case.dataset) if is_timed else None,
        customers=len(truth),
        customers_with_truth=len(case.split.truth),
        products=case.bundle.item_count,
        training_lines=case.split.train.line_count,
        truth_size=round(float(sizes.mean()) if len(sizes) else 0.0, 3),
        repeat_share=round(sum(owned) / max(int(sizes.sum()), 1), 6),
        resamples=RESAMPLES,
        seed=case.seed,
    )
