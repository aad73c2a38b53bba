"""A bundle is asked for every held-out basket, and its answers are measured beside plain rankings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.domain import Floats, Ints
from app.model.bundle import Bundle
from app.ports import Progress, StageProgress
from training.data.dataset import Dataset
from training.data.split import Split
from training.evaluation.baselines import Rivals
from training.evaluation.lists import (
    Considered,
    Slates,
    considered,
    factor_lists,
    frequency_lists,
    own_products,
    popularity_lists,
    served_slates,
    without_owned,
)
from training.evaluation.results import (
    PRODUCT,
    Findings,
    Group,
    Interval,
    Judged,
    Protocol,
    Sources,
    SourceShare,
    interval,
    intervals,
    judged,
)
from training.evaluation.segments import Segment
from training.metrics.calibration import Reliability, reliability
from training.metrics.exposure import attribute_diversity, coverage, factor_diversity, novelty, popularity_groups
from training.metrics.ranking import (
    METRIC_NAMES,
    RESAMPLES,
    Wide,
    found_places,
    per_customer,
    side_by_side,
    truth_sizes,
)
from training.metrics.source_recall import contributions
from training.queries.evaluation_queries import CUTOFFS, Asked, with_baskets
from training.queries.states import as_of_instant

POPULARITY, FREQUENCY, PLAIN_ALS = "popularity", "personal frequency", "plain ALS"
FIGURES = tuple(f"{name}@{cutoff}" for cutoff in CUTOFFS for name in METRIC_NAMES)
SEGMENT_FIGURES = ("hit@10", "recall@10", "ndcg@10")
CURVES = ("hit", "recall", "precision", "ndcg")
CUTOFF = 10
LIST_LENGTH = max(CUTOFFS)
GROUPING_ATTRIBUTES = ("category", "department", "brand")
"""The first of these that the catalogue has tells how mixed a list is."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: a bundle that saw nothing since the cut, its questions, and how the customers are grouped.

    `dataset` is whole, with the baskets to foretell.
    """

    bundle: Bundle
    dataset: Dataset
    split: Split
    asked: Asked
    segments: Sequence[Segment]
    seed: int
    rivals: Rivals


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of question: what was asked, what decisions looked at, the slates, and all rankings (n, 20)."""

    asked: Asked
    seen: Sequence[Considered]
    slates: Slates
    lists: dict[str, Ints]


def judge(case: Case, progress: Progress) -> Findings:
    """The findings, the same for the same seed. Every question is put to `rank` itself, each kind once."""
    whole = _whole(case, progress)
    begun = _begun(case, progress)
    values = {name: _values(lists, whole.asked.truth) for name, lists in whole.lists.items()}
    shown = {name: lists[:, :CUTOFF] for name, lists in whole.lists.items()}
    return Findings(
        protocol=_protocol(case, whole),
        rankings={name: judged(table, FIGURES, seed=case.seed) for name, table in values.items()},
        versus=_versus(values, seed=case.seed),
        curves={name: _curves(lists, whole.asked.truth) for name, lists in whole.lists.items()},
        parts=_parts(case, whole, begun, progress),
        segments={segment.kind: _groups(segment, values, seed=case.seed) for segment in case.segments},
        calibration={
            "shown": _of_shown(whole, seed=case.seed),
            "all candidates": _of_candidates(whole, seed=case.seed),
        },
        exposure=_exposure(case, shown),
        popularity_groups=popularity_groups(
            shown[PRODUCT],
            whole.asked.truth,
            np.bincount(case.split.train.item, minlength=case.bundle.item_count),
        ),
        sources={"asked with nothing in the basket": _sources(whole, seed=case.seed)}
        | ({"asked with a basket begun": _sources(begun, seed=case.seed)} if begun.seen else {}),
        notes=case.rivals.notes,
    )


def _whole(case: Case, progress: Progress) -> _Part:
    """Each customer asked once, every product allowed."""
    hidden = [np.zeros(0, np.int32)] * len(case.asked.queries)
    part = _part(case.bundle, case.asked, hidden, partial(progress, "evaluate"))
    for name, rival in case.rivals.bundles.items():
        own_progress = partial(progress, f"evaluate {name}")
        part.lists[name] = served_slates(rival, case.asked, own_progress, catalogue=case.bundle.catalogue).items
    return part


def _begun(case: Case, progress: Progress) -> _Part:
    """Every second customer asked with a part of the basket known; what is in it is neither shown nor looked for."""
    asked = with_baskets(case.asked, case.bundle.catalogue.product_ids, seed=case.seed)
    asked = asked.only([row for row, query in enumerate(asked.queries) if query.basket])
    hidden = [case.bundle.catalogue.known([line.product_id for line in query.basket]) for query in asked.queries]
    return _part(case.bundle, asked, hidden, partial(progress, "evaluate with a basket"))


def _part(bundle: Bundle, asked: Asked, hidden: Sequence[Ints], progress: StageProgress) -> _Part:
    """`hidden`: what the plain rankings leave out for each customer, as the question itself makes rank do."""
    seen = [considered(bundle, query, state) for query, state in zip(asked.queries, asked.states, strict=True)]
    slates = served_slates(bundle, asked, progress)
    popular = popularity_lists(bundle.popularity, hidden)
    own = [_without(own_products(one.context), items) for one, items in zip(seen, hidden, strict=True)]
    lists = {
        FREQUENCY: frequency_lists(own, popular),
        PLAIN_ALS: factor_lists(bundle.item_factors, _users(bundle, seen), hidden),
        POPULARITY: popular,
    }
    tables = {name: side_by_side(rows, k=LIST_LENGTH) for name, rows in lists.items()}
    return _Part(asked, seen, slates, {PRODUCT: slates.items} | tables)


def _parts(case: Case, whole: _Part, begun: _Part, progress: Progress) -> dict[str, dict[str, Judged]]:
    """The same lists judged on what is bought again and on what is new; then other questions.

    Where nobody owns anything, everything is new, and the whole says it all.
    """
    owned = [one.context.bought.items for one in whole.seen]
    pairs = list(zip(whole.asked.truth, owned, strict=True))
    again = [truth[np.isin(truth, items)] for truth, items in pairs]
    new = [truth[~np.isin(truth, items)] for truth, items in pairs]
    found = {}
    if any(len(items) for items in owned):
        found = {
            "bought again": _on(whole.lists, again, seed=case.seed),
            "bought for the first time": _on(whole.lists, new, seed=case.seed),
            "new products": _on(_new_only(case, whole, owned, new, progress), new, seed=case.seed),
        }
    if begun.seen:
        found["basket begun"] = _on(begun.lists, begun.asked.truth, seed=case.seed)
    return found


def _new_only(
    case: Case, whole: _Part, owned: Sequence[Ints], new: Sequence[Ints], progress: Progress
) -> dict[str, Ints]:
    """Lists without what the customer owns, rows of -1 where nothing new was bought."""
    rows = [row for row, items in enumerate(new) if len(items)]
    asked = without_owned(whole.asked.only(rows))
    hidden = [owned[row] for row in rows]
    users = _users(case.bundle, [whole.seen[row] for row in rows])
    slates = served_slates(case.bundle, asked, partial(progress, "evaluate new products"))
    lists = {
        PRODUCT: slates.items,
        PLAIN_ALS: side_by_side(factor_lists(case.bundle.item_factors, users, hidden), k=LIST_LENGTH),
        POPULARITY: side_by_side(popularity_lists(case.bundle.popularity, hidden), k=LIST_LENGTH),
    }
    filled = {name: np.full_like(whole.slates.items, -1) for name in lists}
    for name, table in lists.items():
        filled[name][rows] = table
    return filled


def _on(lists: Mapping[str, Ints], truth: Sequence[Ints], *, seed: int) -> dict[str, Judged]:
    """The rankings judged on the customers who have such a truth."""
    rows = [row for row, items in enumerate(truth) if len(items)]
    kept = [truth[row] for row in rows]
    return {name: judged(_values(table[rows], kept), FIGURES, seed=seed) for name, table in lists.items()}


def _values(lists: Ints, truth: Sequence[Ints]) -> Wide:
    """Figures of each customer, a column per name in FIGURES."""
    found, sizes = found_places(lists, truth), truth_sizes(truth)
    return np.hstack([per_customer(found, sizes, k=cutoff) for cutoff in CUTOFFS])


def _curves(lists: Ints, truth: Sequence[Ints]) -> dict[str, list[float]]:
    found, sizes = found_places(lists, truth), truth_sizes(truth)
    sums = [per_customer(found, sizes, k=k).sum(axis=0) for k in range(1, LIST_LENGTH + 1)]
    means = np.round(np.stack(sums, axis=1) / max(len(truth), 1), 6)
    return {name: means[METRIC_NAMES.index(name)].tolist() for name in CURVES}


def _versus(values: Mapping[str, Wide], *, seed: int) -> dict[str, dict[str, Interval]]:
    mine = values[PRODUCT]
    return {
        name: dict(zip(FIGURES, intervals(mine - table, seed=seed), strict=True))
        for name, table in values.items()
        if name != PRODUCT
    }


def _groups(segment: Segment, values: Mapping[str, Wide], *, seed: int) -> list[Group]:
    columns = [FIGURES.index(name) for name in SEGMENT_FIGURES]
    return [
        Group(
            name,
            {
                ranking: judged(table[segment.code == code][:, columns], SEGMENT_FIGURES, seed=seed)
                for ranking, table in values.items()
            },
        )
        for code, name in enumerate(segment.names)
    ]


def _of_shown(part: _Part, *, seed: int) -> Reliability:
    items, chance = part.slates.items[:, :CUTOFF], part.slates.probability[:, :CUTOFF]
    owner, _ = np.nonzero(items >= 0)
    bought = found_places(items, part.asked.truth)
    return reliability(chance[items >= 0], bought[items >= 0], owner, seed=seed)


def _of_candidates(part: _Part, *, seed: int) -> Reliability:
    chance = np.concatenate([np.zeros(0), *(one.probability for one in part.seen)])
    pairs = zip(part.seen, part.asked.truth, strict=True)
    bought = np.concatenate([np.zeros(0, np.bool_), *(np.isin(one.items, truth) for one, truth in pairs)])
    owner = np.repeat(np.arange(len(part.seen)), [len(one.items) for one in part.seen])
    return reliability(chance, bought, owner, seed=seed)


def _exposure(case: Case, shown: Mapping[str, Ints]) -> dict[str, dict[str, Interval]]:
    """How each ranking's first ten places look."""
    train, count = case.split.train, len(case.split.train.product_ids)
    pairs = np.unique(train.customer.astype(np.int64) * max(count, 1) + train.item)
    buyers = np.bincount(pairs % max(count, 1), minlength=count)
    customers = len(np.unique(train.customer))
    return {
        name: {
            "coverage@10": _covered(lists, case.bundle),
            "novelty@10": interval(novelty(lists, buyers, customers), seed=case.seed),
            **{name: interval(values, seed=case.seed) for name, values in _diversity(lists, case.bundle).items()},
        }
        for name, lists in shown.items()
    }


def _covered(lists: Ints, bundle: Bundle) -> Interval:
    """One number for all customers together: it has no interval."""
    share = round(coverage(lists, bundle.item_count), 6)
    return Interval(share, share, share)


def _diversity(lists: Ints, bundle: Bundle) -> dict[str, Wide]:
    attributes = bundle.catalogue.attributes
    grouping = [name for name in GROUPING_ATTRIBUTES if name in attributes][:1]
    return {"factor diversity@10": factor_diversity(lists, bundle.item_factors)} | {
        f"{name} diversity@10": attribute_diversity(lists, attributes[name].codes) for name in grouping
    }


def _sources(part: _Part, *, seed: int) -> Sources:
    found = contributions([one.by_source for one in part.seen], part.asked.truth)
    each = {
        name: SourceShare(*(interval(of, seed=seed) for of in (one.candidates, one.recall, one.found, one.only)))
        for name, one in found.each.items()
    }
    return Sources(len(part.seen), each, interval(found.found_by_any, seed=seed))


def _protocol(case: Case, whole: _Part) -> Protocol:
    truth, is_timed = whole.asked.truth, case.split.kind == "time"
    sizes = truth_sizes(truth)
    owned = [int(np.isin(items, one.context.bought.items).sum()) for items, one in zip(truth, whole.seen, strict=True)]
    return Protocol(
        split=case.split.kind,
        foretold="basket" if case.dataset.has_purchases else "session",
        asked_in_visits=sum(bool(query.recent) for query in whole.asked.queries),
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


def _users(bundle: Bundle, seen: Sequence[Considered]) -> Floats:
    """Each customer's vector (n, k), zeros where there is none."""
    users = np.zeros((len(seen), bundle.item_factors.shape[1]), np.float32)
    for row, one in enumerate(seen):
        if one.context.user is not None:
            users[row] = one.context.user
    return users


def _without(items: Ints, hidden: Ints) -> Ints:
    return items[~np.isin(items, hidden)] if len(hidden) else items
