"""Past cut-offs become the hazards of buying again: the step of a training run that fits the replenishment models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from app.decision.customer.context import Bought
from app.decision.replenishment.hazards import (
    CATEGORY,
    COLUMNS,
    PRODUCT,
    Pairs,
    has_repeated,
    in_groups,
    people_of,
    product_pairs,
    rebuy_columns,
    terms,
)
from app.domain import Floats, Ints, Mask
from app.model.replenishment import DOCUMENT, RebuyModel, habits_file
from training.data.dataset import Dataset, Days
from training.ranking.logistic import fit_logistic
from training.release.assemble import BundleContents

FIRST_CUT_DAYS = 7.0
CUT_STEP_DAYS = 10.1
"""Not a week, so that cut-offs fall on all weekdays; not whole days, so that they fall on several hours."""
CUT_COUNT = 10
SPAN_ENDS_DAYS = (1.0, 3.0, 7.0, 14.0, 28.0, 56.0)
# So many rows of 119 terms are 95 MB in single precision.
MAX_ROWS = 200_000
MIN_EVENTS = 200
"""Fewer purchases in a span cannot move its weights: it is joined with the next one."""
GAP_PRIOR = 10
"""Pseudo-count of gaps: a group bought again once or twice has about the gap of all."""
SALES_PRIOR = 5
"""Pseudo-count of sales: a group hardly sold has about the trend of all."""
RIDGE = 10.0
FREE_PENALTY = 1e-3
"""Of the intercept, which is to follow the share bought again."""

Wide = npt.NDArray[np.float64]
PairKeys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """Pairs as they stood at past cut-offs: `columns` (n, c), days until bought again (inf = never seen), and how
    many days after its cut-off each was watched."""

    columns: Floats
    wait_days: Days
    watched_days: Days


@dataclass(frozen=True, slots=True)
class RebuyLines:
    """Purchases by customer and group, each pair's by time: `key` = customer · `width` + group."""

    key: PairKeys
    day: Days
    width: int


@dataclass(frozen=True, slots=True)
class _Level:
    """What pairs are made of: the group of each item (-1 = none), how many groups, the purchases by group."""

    codes: Ints
    group_count: int
    lines: RebuyLines


def with_replenishment(contents: BundleContents, dataset: Dataset, *, seed: int) -> BundleContents:
    """The contents with what `learn_replenishment` fits; unchanged where it fits nothing."""
    models = learn_replenishment(dataset, seed=seed)
    if not models:
        return contents
    document = {level: model.document() for level, model in models.items()}
    habits = {habits_file(level): model.habits for level, model in models.items()}
    documents = {**contents.documents, DOCUMENT.removesuffix(".json"): document}
    return replace(contents, arrays={**contents.arrays, **habits}, documents=documents)


def learn_replenishment(dataset: Dataset, *, seed: int) -> dict[str, RebuyModel]:
    """A model per level, "product" and, where the catalogue has it, "category"; same seed, same models.

    Empty without timestamps and for histories under two weeks; a level with fewer than MIN_EVENTS purchases again
    has none. Purchases after `dataset.as_of_day` do not exist for it.
    """
    cuts = cut_days(dataset)
    if not cuts:
        return {}
    levels = _levels(dataset)
    found: dict[str, list[Examples]] = {level: [] for level in levels}
    random = np.random.default_rng(seed)
    for cut in cuts:
        for level, examples in _examples(dataset, levels, cut, random, max_rows=MAX_ROWS // len(cuts)):
            found[level].append(examples)
    last = _habits_now(levels, dataset)
    fitted = {level: fit_hazards(_joined(found[level]), last[level]) for level in levels}
    return {level: model for level, model in fitted.items() if model is not None}


def cut_days(dataset: Dataset) -> list[float]:
    """The instants to learn from, newest first: each has a week after it and half the history before it."""
    if not dataset.has_time or not dataset.line_count:
        return []
    back = FIRST_CUT_DAYS + CUT_STEP_DAYS * np.arange(CUT_COUNT)
    return [float(dataset.as_of_day - days) for days in back if days <= np.ptp(dataset.day) / 2]


def _levels(dataset: Dataset) -> dict[str, _Level]:
    item_count = len(dataset.product_ids)
    codes = {PRODUCT: (np.arange(item_count, dtype=np.int32), item_count)}
    category = dataset.catalogue.attributes.get(CATEGORY)
    if category is not None:
        codes[CATEGORY] = (category.codes, len(category.vocabulary))
    return {name: _Level(*grouping, rebuy_lines(dataset, *grouping)) for name, grouping in codes.items()}


def rebuy_lines(dataset: Dataset, codes: Ints, group_count: int) -> RebuyLines:
    """The purchases by customer and group; `codes` gives each item's group, -1 leaves it out."""
    group = codes[dataset.item]
    kept = np.flatnonzero(group >= 0)
    key = dataset.customer[kept].astype(np.int64) * group_count + group[kept]
    # Lines run by time, so a stable sort leaves each pair's in order.
    order = np.argsort(key, kind="stable")
    return RebuyLines(key[order], dataset.day[kept[order]], group_count)


def _examples(
    dataset: Dataset, levels: Mapping[str, _Level], cut: float, random: np.random.Generator, *, max_rows: int
) -> Iterator[tuple[str, Examples]]:
    """Per level the pairs bought repeatedly before `cut`, at most `max_rows` of them at random."""
    products = pairs_as_of(levels[PRODUCT].lines, cut)
    people = people_of(products, len(dataset.customer_ids))
    for name, level in levels.items():
        pairs = products if name == PRODUCT else in_groups(products, level.codes[products.group])
        rows = np.flatnonzero(has_repeated(pairs))
        if len(rows) > max_rows:
            rows = np.sort(random.choice(rows, max_rows, replace=False))
        chosen = pairs.only(rows)
        # Habits of this cut-off, from all its pairs: those of the end of the history would know what came after.
        columns = rebuy_columns(chosen, people, group_habits(pairs, level.group_count), now_day=cut)
        wait_days = _waits(level.lines, chosen, cut)
        yield name, Examples(columns, wait_days, np.full(len(rows), dataset.as_of_day - cut))


def _habits_now(levels: Mapping[str, _Level], dataset: Dataset) -> dict[str, Floats]:
    products = pairs_as_of(levels[PRODUCT].lines, dataset.as_of_day)
    return {
        name: group_habits(
            products if name == PRODUCT else in_groups(products, level.codes[products.group]), level.group_count
        )
        for name, level in levels.items()
    }


def pairs_as_of(lines: RebuyLines, cut: float) -> Pairs:
    """Customers and products as the feature store would have had them at `cut`: no line at or after it is seen."""
    past = lines.day < cut
    key, day = lines.key[past], lines.day[past]
    # No key is -1, so the first line begins a run as well.
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    ends = np.append(starts[1:], len(key)) - 1
    person, item = np.divmod(key[starts], max(lines.width, 1))
    age = cut - day
    bought = Bought(
        items=item.astype(np.int32),
        count=(ends - starts + 1).astype(np.float32),
        weight_28d=_sums(np.exp2(-age / 28), starts),
        weight_112d=_sums(np.exp2(-age / 112), starts),
        # Whole days, as the feature rows of serving hold them.
        first_day=np.floor(day[starts]).astype(np.float32),
        last_day=np.floor(day[ends]).astype(np.float32),
    )
    return product_pairs(person.astype(np.int32), bought)


def _sums(values: Days, starts: npt.NDArray[np.intp]) -> Floats:
    return np.add.reduceat(values, starts).astype(np.float32) if len(starts) else np.zeros(0, np.float32)


def group_habits(pairs: Pairs, group_count: int) -> Floats:
    """(g + 1, 3) as HABITS names them, each pulled towards that of all groups; the last row is for an unknown group."""

    def per_group(values: Floats | Wide) -> Wide:
        # One row more than groups: nothing is counted in it, so the priors alone make the habits of an unknown group.
        return np.bincount(pairs.group, values, group_count + 1).astype(np.float64)

    again = np.maximum(pairs.count - 1, 0)
    gaps, days = per_group(again), per_group((pairs.last_day - pairs.first_day) * (again > 0))
    recent, usual = per_group(pairs.weight_28d), per_group(pairs.weight_112d)
    all_gap = max(days.sum(), 1.0) / max(gaps.sum(), 1.0)
    all_trend = max(recent.sum(), 1e-9) / max(usual.sum(), 1e-9)
    gap = (days + GAP_PRIOR * all_gap) / (gaps + GAP_PRIOR)
    # Relative to all groups, so that a shop that grows as a whole gives no product a trend.
    trend = (recent + SALES_PRIOR * all_trend) / (usual + SALES_PRIOR) / all_trend
    return np.stack([np.log(gap), np.log(trend), np.log1p(usual)], axis=1).astype(np.float32)


def _waits(lines: RebuyLines, pairs: Pairs, cut: float) -> Days:
    """Days from `cut` to each pair's next purchase, inf where none is known."""
    ahead = lines.day >= cut
    # A closing key that equals nothing: a search may end behind the last line.
    key, day = np.append(lines.key[ahead], -1), np.append(lines.day[ahead], np.inf)
    wanted = pairs.person.astype(np.int64) * lines.width + pairs.group
    # A pair's lines run by time, so the first one from the cut on is the next purchase.
    position = np.searchsorted(key[:-1], wanted)
    return np.where(key[position] == wanted, day[position] - cut, np.inf)


def _joined(parts: Sequence[Examples]) -> Examples:
    columns, waits, watched = ([getattr(part, name) for part in parts] for name in Examples.__slots__)
    return Examples(np.concatenate(columns), np.concatenate(waits), np.concatenate(watched))


def fit_hazards(examples: Examples, habits: Floats) -> RebuyModel | None:
    """One ridge logistic regression per span: bought again within it, of those not bought before and watched so long.

    A discrete-time hazard model (Singer and Willett 1993), so that chances never fall with the horizon. A span with
    too few purchases is joined with the next; None where that leaves none.
    """
    if not len(examples.wait_days):
        return None
    mean, deviation = examples.columns.mean(axis=0), examples.columns.std(axis=0)
    # A column that never varies, such as product_count on level product, drops out with scale 0.
    scale = np.where(deviation > 1e-6, deviation, 0).astype(np.float32)
    design = terms(examples.columns, mean, scale)
    start, ends, weights = 0.0, list[float](), list[Floats]()
    for end in SPAN_ENDS_DAYS:
        at_risk = (examples.wait_days >= start) & (examples.watched_days >= end)
        is_bought = at_risk & (examples.wait_days < end)
        # `start` stays where it is, so that the next span takes this one in.
        if is_bought.sum() < MIN_EVENTS:
            continue
        weights.append(_fit_span(design, at_risk, is_bought, start=weights[-1] if weights else None))
        ends.append(end)
        start = end
    if not ends:
        return None
    return RebuyModel(COLUMNS, habits, mean, scale, np.stack(weights, axis=1), np.array(ends, np.float32))


def _fit_span(design: Floats, rows: Mask, labels: Mask, *, start: Floats | None) -> Floats:
    """Weights of largest ridge-penalized likelihood on `rows`; `start` are those of the span before."""
    hit = labels[rows].astype(np.float32)
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = FREE_PENALTY
    weights = np.zeros(design.shape[1]) if start is None else start.astype(np.float64)
    # The intercept begins at the share of this span; the ones keep it finite.
    weights[0] = np.log((hit.sum() + 1) / (len(hit) - hit.sum() + 1))
    return fit_logistic(design[rows], hit, penalty=penalty, start=weights).astype(np.float32)
