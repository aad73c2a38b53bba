"""The settings of the factors by successive halving: many on a part of the customers, the best few on more."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from training.learners.factors import AlsSettings, fit_factors
from training.tuning.problem import TuningProblem, ndcg_of_new
from training.tuning.work import smaller_regularization, trial_seconds

MAX_FACTORS = 256
MIN_GAIN_WIDER = 1.05
"""Twice the factors cost every decision time, so they must earn it; less is noise at 1,000 customers."""
GRID = ((8, 10), (40, 10), (250, 0.3), (40, 2), (8, 2), (250, 2), (40, 0.3), (2, 2))
"""alpha, and regularization / (1 + alpha): a purchase weighs 1 + alpha, so the two belong together."""
SHARES = (1.0, 1 / 3, 1 / 9)
"""Of the customers to learn from: a round takes the first of these with which it fits its part of the budget."""
ROUND_ENDS = (0.35, 0.7, 1.0)
"""The part of the budget that is spent after each round."""
KEPT = (3, 2)
"""So many settings go on to the next round."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One tried setting: its NDCG at 20 over products new to the customer, learned from this share of the customers.

    `work_s`: the CPU seconds it counts for (`training.tuning.work`).
    """

    settings: AlsSettings
    ndcg: float
    share: float
    work_s: float

    def document(self) -> dict[str, object]:
        """The trial for a manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The settings that won, everything that was tried, in order, and what the budget had no room for."""

    settings: AlsSettings
    trials: Sequence[Trial] = ()
    not_tried: Sequence[AlsSettings] = ()

    def document(self) -> dict[str, object]:
        """The search for a manifest."""
        return {
            "trials": [trial.document() for trial in self.trials],
            "not_tried": [asdict(settings) for settings in self.not_tried],
        }


def tune(
    problem: TuningProblem,
    *,
    budget_s: float,
    seed: int,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    start: AlsSettings | None = None,
    max_factors: int = MAX_FACTORS,
) -> TuningResult:
    """The best settings of a fixed search from `start` within a budget of CPU seconds; `on_trial` follows every trial.

    Successive halving (Jamieson and Talwalkar 2016): first `start` and a grid of alphas and regularizations; then the
    best three, also with twice the factors; then the best two, also with four times. Each round has a third of the
    budget and learns from as many customers as fit. The budget counts work by its size, not the clock: the same data,
    seed and budget give the same settings on any machine. The first trial always runs, unless there is nobody to
    predict for: then `start` wins untried.
    """
    start = start or AlsSettings()
    if not len(problem.customers):
        return TuningResult(start)
    search = _Search(problem, seed, budget_s, max_factors, on_trial)
    best = search.round([start, *_grid(start)], until=ROUND_ENDS[0])
    second = [further for one in best[: KEPT[0]] for further in (one.settings, *search.wider(one.settings))]
    best = (
        search.round([*second, *_undecayed(best[0].settings, has_time=problem.has_time)], until=ROUND_ENDS[1]) or best
    )
    third = [one.settings for one in best[: KEPT[1]]]
    if third[0].factors > start.factors:
        third[1:1] = search.wider(third[0])
    search.round(third, until=ROUND_ENDS[2])
    largest = max(trial.share for trial in search.trials)
    winner = max((trial for trial in search.trials if trial.share == largest), key=_worth)
    return TuningResult(winner.settings, search.trials, search.not_tried)


def _grid(start: AlsSettings) -> list[AlsSettings]:
    return [replace(start, alpha=float(alpha), regularization=ratio * (1.0 + alpha)) for alpha, ratio in GRID]


def _undecayed(settings: AlsSettings, *, has_time: bool) -> list[AlsSettings]:
    """Whether old purchases count as much; without times decayed weights equal counts."""
    return [replace(settings, weighting="count")] if has_time and settings.weighting == "decayed" else []


def _worth(trial: Trial) -> float:
    return float(trial.ndcg / MIN_GAIN_WIDER ** math.log2(trial.settings.factors))


@dataclass(slots=True)
class _Search:
    problem: TuningProblem
    seed: int
    budget_s: float
    max_factors: int
    on_trial: Callable[[Trial], None]
    trials: list[Trial] = field(default_factory=list)
    not_tried: list[AlsSettings] = field(default_factory=list)

    def wider(self, settings: AlsSettings) -> list[AlsSettings]:
        """The same with twice the factors, where they may be that many."""
        return [replace(settings, factors=2 * settings.factors)] if 2 * settings.factors <= self.max_factors else []

    def round(self, wanted: Sequence[AlsSettings], *, until: float) -> list[Trial]:
        """Trials of these settings with one share of the customers, best first; none that ends beyond `until`."""
        room_s = until * self.budget_s - sum(trial.work_s for trial in self.trials)
        share = next((share for share in SHARES if self._work_s(wanted, share) <= room_s), SHARES[-1])
        sample = self.problem.sample(share, seed=self.seed)
        done = []
        for settings in wanted:
            trial = self._done(settings, share)
            if trial is None and (room_s >= self._work_s([settings], share) or not self.trials):
                trial = self._try(settings, sample, share)
                room_s -= trial.work_s
            if trial is None:
                self.not_tried.append(settings)
            else:
                done.append(trial)
        return sorted(done, key=_worth, reverse=True)

    def _work_s(self, wanted: Sequence[AlsSettings], share: float) -> float:
        to_do = [settings for settings in wanted if self._done(settings, share) is None]
        return sum(trial_seconds(self.problem, settings, share=share) for settings in to_do)

    def _done(self, settings: AlsSettings, share: float) -> Trial | None:
        return next((trial for trial in self.trials if (trial.settings, trial.share) == (settings, share)), None)

    def _try(self, settings: AlsSettings, sample: TuningProblem, share: float) -> Trial:
        smaller = smaller_regularization(settings.regularization, share=share)
        users, items = fit_factors(
            sample.pairs, sample.shape, replace(settings, regularization=smaller), seed=self.seed
        )
        ndcg = ndcg_of_new(sample, lambda customers: users[customers] @ items.T)
        trial = Trial(settings, ndcg, share, trial_seconds(self.problem, settings, share=share))
        self.trials.append(trial)
        self.on_trial(trial)
        return trial
