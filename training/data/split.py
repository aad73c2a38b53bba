"""The dataset is cut into what a model may learn from and the held-out baskets it must predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.domain import Ints
from training.data.dataset import Dataset

MAX_WINDOW_DAYS = 28
"""Four weeks hold every weekday alike and nearly every regular customer's next basket."""
WINDOW_SHARE = 0.1
"""At most a tenth of the history is held back per window."""
MIN_CUSTOMERS = 20
HELD_OUT_SHARE = 1 / 9
"""Of undated histories: what is predicted is an eighth of what stays known, as in the usual cut of 80 : 10 : 10."""
VISIT_SHARE = 0.5
"""Of the customers who viewed something before they bought, this share of queries holds the views."""
MAX_PREFIX = 100
REPEAT_SHARE = 0.05
"""Retailers whose customers buy fewer things again than this are shown new products only."""
MIN_EVIDENCE = 200
"""Fewer held-out products than this say nothing of a retailer's customers: they are still shown what they bought."""

Lines = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """`train` as of the cut; `truth`: customer code → distinct items, ascending, of the held-out basket.

    Some queries come in the middle of a visit: `prefix`: customer code → items viewed in it so far, latest first.
    Where nothing is ever bought, all do, and truth is what is viewed next. `query_day`: of which day a query is
    that needs to know what is on promotion. `end_day`: before it lies all that may be known of what came after the cut.
    `growth`: so many times as much as the truth is bought next after whole histories. `moments`: customer code → how
    many views of the session might have been the truth.
    """

    kind: str
    train: Dataset
    truth: Mapping[int, Ints]
    prefix: Mapping[int, Ints] = field(default_factory=dict)
    query_day: float | None = None
    end_day: float | None = None
    growth: float = 1.0
    moments: Mapping[int, int] = field(default_factory=dict)


def make_splits(dataset: Dataset, *, seed: int, window_count: int = 2) -> list[Split]:
    """Time splits at the ends of the last windows, newest first; one random split without usable times.

    Two windows, because one alone carries its season into the weights (measured: the week after Thanksgiving).
    """
    if dataset.has_time:
        cut_at = time_split if dataset.has_purchases else session_split
        splits = [cut_at(dataset, windows_back=back, seed=seed) for back in range(1, window_count + 1)]
        usable = [split for split in splits if len(split.truth) >= MIN_CUSTOMERS]
        if usable:
            return usable
    return [random_split(dataset, seed=seed)]


def time_split(dataset: Dataset, *, windows_back: float = 1, seed: int = 0) -> Split:
    """Train on all before the cut; truth = each known customer's first basket in the window after it.

    Window = min(28 days, a tenth of the history's span); the cut lies `windows_back` windows before the end. Where the
    dataset has views, every second of the customers who viewed something between the cut and that basket gets it as
    `prefix`, and so does everybody who viewed something and never bought before.
    """
    cut, end, past, in_window = _window(dataset, windows_back)
    # The basket as the last key: of two at one instant the same one is first in every run.
    lines = _first_basket_lines(
        dataset, in_window[np.lexsort((dataset.basket[in_window], dataset.day[in_window], dataset.customer[in_window]))]
    )
    known = set(dataset.customer[past].tolist())
    viewed = _viewed_before(dataset, lines, cut)
    random = np.random.default_rng(seed)
    prefix = {code: items for code, items in viewed.items() if code not in known or random.random() < VISIT_SHARE}
    is_kept = np.isin(dataset.customer[lines], [*known, *prefix])
    query_day = _query_day(dataset, in_window, cut)
    truth = _group_items(dataset, lines[is_kept])
    return Split("time", dataset.only(past, as_of_day=cut), truth, prefix, query_day, end)


def _query_day(dataset: Dataset, in_window: Lines, cut: float) -> float:
    """The cut, or the midnight after it where that is nearer than the one before, or when the shop next sells.

    The cut has the hour of the history's last line, mostly an evening: promotions that end that night would be taken
    for those of the days in which the baskets lie.
    """
    return float(max([cut, np.round(cut), *dataset.day[in_window[:1]]]))


def _viewed_before(dataset: Dataset, lines: Lines, cut: float) -> dict[int, Ints]:
    """Per customer who bought `lines`: what was viewed from the cut until then, latest first."""
    if dataset.views is None:
        return {}
    bought_on = np.full(len(dataset.customer_ids), -np.inf)
    bought_on[dataset.customer[lines]] = dataset.day[lines]
    views, fresh = dataset.views, int(dataset.views.day.searchsorted(cut))
    visitor, item = views.visitor[fresh:], views.item[fresh:]
    # A visitor of -1 reads the last customer's day; the first condition takes that out.
    there = np.flatnonzero((visitor >= 0) & (views.day[fresh:] < bought_on[visitor]))
    # Views run by time: turned round, a stable sort by visitor leaves each one's latest first.
    latest_first = there[::-1][np.argsort(visitor[there[::-1]], kind="stable")]
    customers, starts = np.unique(visitor[latest_first], return_index=True)
    items = np.split(item[latest_first], starts[1:])
    # Without any view np.split() still gives one empty part, which a strict zip would refuse.
    return {int(code): theirs[:MAX_PREFIX] for code, theirs in zip(customers, items, strict=False)}


def session_split(dataset: Dataset, *, windows_back: float = 1, seed: int) -> Split:
    """Train on all before the cut; of each visitor's first session after it, predict one view from those before it.

    The view is any but the first, at random; a session of one view makes no query. Visitors may be new. Where some of
    the sessions are chosen, each counts by its `moments`, as every view brings a query.
    """
    cut, end, past, in_window = _window(dataset, windows_back)
    began = np.full(int(dataset.basket.max(initial=-1)) + 1, np.inf)
    np.minimum.at(began, dataset.basket, dataset.day)
    # A session that began before the cut is learned from in part, so it is no query.
    fresh = in_window[began[dataset.basket[in_window]] >= cut]
    basket, customer = dataset.basket[fresh], dataset.customer[fresh]
    lines = _first_basket_lines(dataset, fresh[np.lexsort((dataset.day[fresh], basket, began[basket], customer))])
    random = np.random.default_rng(seed)
    truth, prefix, moments = {}, {}, {}
    customers, starts = np.unique(dataset.customer[lines], return_index=True)
    for customer, views in zip(customers.tolist(), np.split(dataset.item[lines], starts[1:]), strict=False):
        if len(views) > 1:
            position = int(random.integers(1, len(views)))
            truth[customer], prefix[customer] = views[position : position + 1], views[:position][::-1]
            moments[customer] = len(views) - 1
    return Split("time", dataset.only(past, as_of_day=cut), truth, prefix, end_day=end, moments=moments)


def _window(dataset: Dataset, windows_back: float) -> tuple[float, float, npt.NDArray[np.bool_], Lines]:
    """The cut, the end of the window after it, which lines lie before the cut, and the lines of the window."""
    window = min(MAX_WINDOW_DAYS, WINDOW_SHARE * float(np.ptp(dataset.day)))
    cut = dataset.as_of_day - windows_back * window
    past = dataset.day < cut
    return cut, cut + window, past, np.flatnonzero(~past & (dataset.day < cut + window))


def random_split(dataset: Dataset, *, seed: int) -> Split:
    """Truth = one basket at random of customers with several, else a ninth (at least one) of two or more items."""
    shuffled = _shuffled_by_customer(dataset, seed=seed)
    items, known_count = _some_items(dataset, shuffled)
    held = np.concatenate([_one_basket(dataset, shuffled), items])
    past = np.ones(dataset.line_count, np.bool_)
    past[held] = False
    # Of single products an eighth of the whole history is bought next, of baskets one is.
    wanted = known_count * HELD_OUT_SHARE / (1 - HELD_OUT_SHARE)
    growth = 1 + (wanted - len(items)) / max(len(held), 1)
    return Split("random", dataset.only(past, as_of_day=dataset.as_of_day), _group_items(dataset, held), growth=growth)


def never_again(splits: Sequence[Split]) -> bool:
    """True where less than a twentieth of what customers went on to buy was theirs before: what they own can go."""
    again = total = 0
    for split in splits:
        known = set(split.train.customer.tolist())
        truth = {code: items for code, items in split.truth.items() if code in known}
        sizes = [len(items) for items in truth.values()]
        customer = np.repeat(np.array(list(truth), np.int32), sizes)
        items = np.concatenate([np.zeros(0, np.int32), *truth.values()])
        owned = _pair_keys(split.train, split.train.customer, split.train.item)
        again += int(np.isin(_pair_keys(split.train, customer, items), owned).sum())
        total += len(items)
    return splits[0].train.has_purchases and total >= MIN_EVIDENCE and again < REPEAT_SHARE * total


def _pair_keys(dataset: Dataset, customer: Ints, item: Ints) -> npt.NDArray[np.int64]:
    keys: npt.NDArray[np.int64] = customer.astype(np.int64) * len(dataset.product_ids) + item
    return keys


def _shuffled_by_customer(dataset: Dataset, *, seed: int) -> Lines:
    """All lines, customer after customer, baskets in random order, items in random order within them."""
    random = np.random.default_rng(seed)
    basket_rank = random.permutation(int(dataset.basket.max(initial=-1)) + 1)[dataset.basket]
    order: Lines = np.lexsort((random.random(dataset.line_count), basket_rank, dataset.customer))
    return order


def _one_basket(dataset: Dataset, by_customer: Lines) -> Lines:
    several = by_customer[_has_several_baskets(dataset)[dataset.customer[by_customer]]]
    return _first_basket_lines(dataset, several)


def _some_items(dataset: Dataset, by_customer: Lines) -> tuple[Lines, int]:
    """The first ninth of the lines, rounded up, of each customer who has one basket of two or more items.

    Next to it how many lines these customers have.
    """
    single = by_customer[~_has_several_baskets(dataset)[dataset.customer[by_customer]]]
    customer = dataset.customer[single]
    position = np.arange(len(single)) - np.searchsorted(customer, customer)
    size = np.bincount(customer, minlength=len(dataset.customer_ids))[customer]
    held: Lines = single[(position < np.ceil(HELD_OUT_SHARE * size)) & (size >= 2)]
    return held, int((size >= 2).sum())


def _has_several_baskets(dataset: Dataset) -> npt.NDArray[np.bool_]:
    _, first_line = np.unique(dataset.basket, return_index=True)
    return np.bincount(dataset.customer[first_line], minlength=len(dataset.customer_ids)) >= 2


def _first_basket_lines(dataset: Dataset, by_customer: Lines) -> Lines:
    """Of lines grouped by customer: those of the basket that comes first for their customer."""
    customer = dataset.customer[by_customer]
    first_of_own = by_customer[np.searchsorted(customer, customer)]
    lines: Lines = by_customer[dataset.basket[by_customer] == dataset.basket[first_of_own]]
    return lines


def _group_items(dataset: Dataset, lines: Lines) -> dict[int, Ints]:
    order = lines[np.lexsort((dataset.item[lines], dataset.customer[lines]))]
    customers, starts = np.unique(dataset.customer[order], return_index=True)
    groups = np.split(dataset.item[order], starts[1:])
    return {int(customer): np.unique(items) for customer, items in zip(customers, groups, strict=False)}
