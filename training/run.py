"""`endcap train`: history → splits → tuned factors and blend → evaluation → features → bundle → pointer."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.ranking.features import COLUMNS
from app.errors import BadInput, BundleMissing, BundleRefused, ReleaseRefused
from app.history import CURRENCY, History
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.product_table import ProductTable
from app.ports import Progress
from app.settings import Settings
from training.config import ModelConfig
from training.coupons.examples import CouponWorld
from training.coupons.history import coupon_history
from training.coupons.model import CouponFit, fit_coupons, with_coupons
from training.data.dataset import Dataset, load_interactions, product_table
from training.data.split import Split, make_splits, never_again, random_split
from training.evaluation.baselines import Baselines, live_baselines
from training.evaluation.evaluate import Case, evaluate_bundle
from training.evaluation.results import EvaluationResults, headline
from training.evaluation.segments import segments_of
from training.features.materialize import materialize
from training.learners.bundle_contents import Hyperparameters, hyperparameters_of, learn_contents
from training.learners.content import with_content
from training.learners.factors import AlsSettings, Start, Trial, tune
from training.learners.linear import LinearSettings, tune_linear
from training.learners.replenishment import with_replenishment
from training.queries.evaluation_queries import EvaluationQueries, build_queries, dataset_facts, sampled, with_baskets
from training.queries.states import states_for
from training.ranking.blend import default_blend
from training.ranking.fit import Ranking, candidate_window, fit_ranking
from training.release.assemble import bundle_of, write_contents
from training.release.publish import Facts, prune
from training.release.release import GateResult, release
from training.report.write import write_report
from training.warm_start import WarmStart, warm_start

DEFAULT_CONFIG = ModelConfig()
RANDOM_WINDOWS = 2
"""Where time does not tell, so many times customers' products are held out at random for tuning."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training run made, how good it is on held-out baskets, and where the time went (seconds)."""

    version: str
    published: bool
    metrics: Mapping[str, object]
    seconds: Mapping[str, float]
    report: Path
    gate: GateResult | None = None

    @property
    def refusal(self) -> ReleaseRefused | None:
        """Why the gate did not let the bundle through; None when it did, or did not run."""
        return None if self.gate is None else self.gate.refusal()

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        gate = None if self.gate is None else self.gate.to_dict()
        fields = {name: getattr(self, name) for name in ("version", "published", "metrics", "seconds")}
        return {**fields, "report": str(self.report), "gate": gate}

    def to_text(self) -> str:
        """The report for people: version, figures beside their baselines, time."""
        lines = [f"bundle {self.version}{' is live' if self.published else ' (not published)'}"]
        lines += metric_lines(self.metrics)
        lines += [] if self.gate is None else self.gate.lines()
        spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())
        return "\n".join([*lines, f"time: {spent}", f"report: {self.report}"])


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The figures of one bundle's settings on its held-out part."""

    version: str
    metrics: Mapping[str, object]
    report: Path

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        return asdict(self) | {"report": str(self.report)}

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"settings of bundle {self.version}", *metric_lines(self.metrics)]
        return "\n".join([*lines, f"report: {self.report}"])


def metric_lines(metrics: Mapping[str, object]) -> list[str]:
    """One line per ranking, the product first, its baselines beneath."""
    lines = []
    for name, figures in metrics.items():
        if isinstance(figures, Mapping):
            told = "  ".join(f"{metric} {value:.4g}" for metric, value in figures.items())
            lines.append(f"  {name:<22} {told}")
    return lines


@dataclass(slots=True)
class _Run:
    """What every step of one run needs, and the clock that it ends with."""

    settings: Settings
    history: pl.LazyFrame
    dataset: Dataset
    progress: Progress
    seed: int
    folder: Path
    products_sha256: str | None
    config: ModelConfig
    warm: WarmStart | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, step: str, since: float) -> None:
        """Notes how long `step` took."""
        self.seconds[step] = round(perf_counter() - since, 2)


def train(
    settings: Settings,
    redis_url: str,
    *,
    budget_s: float,
    seed: int,
    publish: bool,
    progress: Progress,
    config: ModelConfig = DEFAULT_CONFIG,
) -> TrainReport:
    """Tunes on the windows before the last, evaluates on the last, then learns from everything and publishes.

    One thread for BLAS and OpenMP: single queries are too small to share, and waiting threads cost five times that.
    Raises BadInput when the history holds nothing to learn from.
    """
    started = perf_counter()
    with tempfile.TemporaryDirectory(prefix="endcap-train-") as folder, threadpool_limits(1):
        run = _open(settings, Path(folder), seed=seed, progress=progress, config=config)
        run.timed("load", started)
        test, tuning = _splits(run)
        hyperparameters, how = _hyperparameters(run, tuning, budget_s=budget_s)
        bundle = _held_out(run, test, hyperparameters)
        results = _evaluate(run, test, bundle, baselines=_baselines(run, test))
        coupons = _coupons(run, bundle)
        metrics = headline(results) | coupons.metrics()
        version = _publishable(run, hyperparameters, coupons, metrics, how)
        report = write_report(settings.reports_dir, settings.bundles_dir / version, results)
        since = perf_counter()
        materialize(settings, redis_url, as_of=None, progress=progress)
        run.timed("features", since)
    since = perf_counter()
    gate = release(settings, redis_url, version, now=datetime.now(UTC), progress=progress) if publish else None
    if publish:
        prune(settings.bundles_dir)
        run.timed("gate", since)
    run.timed("total", started)
    return TrainReport(version, gate is not None and gate.is_published, metrics, run.seconds, report, gate)


def evaluate(settings: Settings, *, seed: int, progress: Progress) -> EvaluationReport:
    """The live bundle's settings, learned again without the held-out window and evaluated on it."""
    version = current_version(settings.bundles_dir)
    live = load_bundle(settings.bundles_dir / version)
    with tempfile.TemporaryDirectory(prefix="endcap-evaluate-") as folder, threadpool_limits(1):
        run = _open(settings, Path(folder), seed=seed, progress=progress)
        test, _ = _splits(run)
        results = _evaluate(run, test, _held_out(run, test, hyperparameters_of(live)), baselines=Baselines())
        report = write_report(settings.reports_dir, settings.bundles_dir / version, results)
        return EvaluationReport(version, headline(results), report)


def is_up_to_date(settings: Settings) -> bool:
    """True when the live bundle is sound and nothing was imported since it was learned; events may have come in."""
    try:
        live = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    except (BundleMissing, BundleRefused):
        return False
    return bool(live.manifest["config"].get("imports") == History(settings.history_dir).import_version())


def _open(
    settings: Settings, folder: Path, *, seed: int, progress: Progress, config: ModelConfig = DEFAULT_CONFIG
) -> _Run:
    warm = warm_start(settings.bundles_dir, config.parts) if config.warm_start else None
    history = History(settings.history_dir).scan()
    products_sha256 = ProductTable(settings.tables_dir).sha256()
    products = product_table(settings)
    progress("load history", 0, 1)
    dataset = load_interactions(history, None if products is None else products.collect())
    progress("load history", 1, 1)
    if dataset.line_count == 0:
        remedy = "run `endcap import --transactions FILE` first"
        raise BadInput(f"{settings.history_dir} holds no purchase and no view to learn from; {remedy}")
    return _Run(settings, history, dataset, progress, seed, folder, products_sha256, config, warm)


def _splits(run: _Run) -> tuple[Split, list[Split]]:
    """The test split, and the earlier ones that tune; nothing of the first is in the second."""
    splits = make_splits(run.dataset, seed=run.seed, window_count=1 + run.config.max_windows)
    if len(splits) > 1:
        return splits[0], splits[1:]
    again = range(1, 1 + min(RANDOM_WINDOWS, run.config.max_windows))
    return splits[0], [random_split(splits[0].train, seed=run.seed + number) for number in again]


def _hyperparameters(
    run: _Run, tuning: Sequence[Split], *, budget_s: float
) -> tuple[Hyperparameters, Mapping[str, object]]:
    """What the bundle is learned by, and how that was found, for the manifest."""
    if run.warm is not None and run.warm.can_rank:
        return run.warm.hyperparameters, {"warm_start": run.warm.version}
    if run.warm is not None:
        ranking = _fit_ranking(run, tuning[:1], run.warm.hyperparameters)
        hyperparameters = _ranked_by(ranking, run.warm.hyperparameters)
        return hyperparameters, {"warm_start": run.warm.version, "ranking": ranking.figures}
    als, linear, trials = _tune(run, tuning, budget_s=budget_s)
    untold = Hyperparameters(als, linear, default_blend(COLUMNS), excludes_purchased=never_again(tuning))
    ranking = _fit_ranking(run, tuning, untold)
    hyperparameters = _ranked_by(ranking, untold)
    return hyperparameters, {"trials": [trial.document() for trial in trials], "ranking": ranking.figures}


def _ranked_by(ranking: Ranking, hyperparameters: Hyperparameters) -> Hyperparameters:
    linear = hyperparameters.linear if ranking.needs_linear else None
    return replace(hyperparameters, linear=linear, blend=ranking.blend, trees=ranking.trees)


def _tune(
    run: _Run, tuning: Sequence[Split], *, budget_s: float
) -> tuple[AlsSettings, LinearSettings | None, Sequence[Trial]]:
    """Settings of the factors and of the linear part, by the newest window before the test window."""
    since = perf_counter()
    heard: list[Trial] = []

    def hear(trial: Trial) -> None:
        heard.append(trial)
        run.progress("tune", min(round(perf_counter() - since), round(budget_s)), max(round(budget_s), 1))

    search_space = run.config.search_space
    tuned = tune(
        tuning[0],
        budget_s=budget_s,
        seed=run.seed,
        on_trial=hear,
        start=search_space.start(),
        max_factors=search_space.max_factors,
    )
    linear = None
    if run.config.parts.linear:
        linear = tune_linear(
            tuning[0],
            weighting=tuned.settings.weighting,
            seed=run.seed,
            penalties=search_space.penalties,
            evennesses=search_space.evennesses,
        )
    run.timed("tune", since)
    return tuned.settings, linear, heard


def _fit_ranking(run: _Run, tuning: Sequence[Split], hyperparameters: Hyperparameters) -> Ranking:
    since = perf_counter()
    windows = []
    for number, split in enumerate(tuning, start=1):
        bundle = _bundle(run, split.train, hyperparameters)
        queries = _queries(run, split)
        if run.dataset.has_purchases:
            queries = with_baskets(queries, split.train.product_ids, seed=run.seed)
        windows.append(candidate_window(bundle, queries, partial(run.progress, f"candidates of window {number}")))
    run.timed("candidates", since)
    since = perf_counter()
    ranking = fit_ranking(windows, seed=run.seed, may_have_trees=run.config.parts.trees)
    run.timed("ranking", since)
    return ranking


def _held_out(run: _Run, test: Split, hyperparameters: Hyperparameters) -> Bundle:
    """A bundle that saw nothing of the test window."""
    start = None
    if run.warm is not None and run.warm.saw_nothing_of(test):
        start = run.warm.start(test.train.product_ids, seed=run.seed)
    return _bundle(run, test.train, hyperparameters, start=start)


def _coupons(run: _Run, bundle: Bundle) -> CouponFit:
    """What past campaigns tell; the bundle lends nothing but its products."""
    since = perf_counter()
    history = coupon_history(run.settings)
    if history is None:
        return CouponFit(None, {}, None)
    run.progress("coupons", 0, 1)
    world = CouponWorld(history, run.dataset, run.history, product_table(run.settings), bundle)
    fit = fit_coupons(world, seed=run.seed)
    run.progress("coupons", 1, 1)
    run.timed("coupons", since)
    return fit


def _evaluate(run: _Run, test: Split, bundle: Bundle, *, baselines: Baselines) -> EvaluationResults:
    since = perf_counter()
    queries = _queries(run, test)
    case = Case(bundle, run.dataset, test, queries, segments_of(queries, test, run.history), run.seed, baselines)
    results = evaluate_bundle(case, run.progress)
    run.timed("evaluate", since)
    return results


def _baselines(run: _Run, test: Split) -> Baselines:
    """The live bundle's settings, learned again from what the split may know."""
    since = perf_counter()
    if run.warm is not None and not run.warm.saw_nothing_of(test):
        note = f"Warm start: the settings are those of bundle {run.warm.version}, live until now."
        return Baselines(notes=(note,))
    baselines = live_baselines(
        run.settings.bundles_dir, test, lambda live: _bundle(run, test.train, hyperparameters_of(live))
    )
    run.timed("live settings", since)
    return baselines


def _bundle(run: _Run, dataset: Dataset, hyperparameters: Hyperparameters, *, start: Start | None = None) -> Bundle:
    facts = Facts(datetime.now(UTC), None, None, {}, {})
    return bundle_of(run.folder, facts, learn_contents(dataset, hyperparameters, seed=run.seed, start=start))


def _queries(run: _Run, split: Split) -> EvaluationQueries:
    states = states_for(run.history, product_table(run.settings), split, sampled(split, seed=run.seed))
    return build_queries(split, states, seed=run.seed)


def _publishable(
    run: _Run,
    hyperparameters: Hyperparameters,
    coupons: CouponFit,
    metrics: Mapping[str, object],
    tuning: Mapping[str, object],
) -> str:
    """The version learned from everything, written and readable."""
    since = perf_counter()
    run.progress("learn from everything", 0, 1)
    window = _window(run.dataset)
    config = {
        "seed": run.seed,
        "imports": History(run.settings.history_dir).import_version(),
        "products_sha256": run.products_sha256,
        "data": dataset_facts(run.dataset),
        "model": run.config.model_dump(include=set(ModelConfig.model_fields)),
        **tuning,
        **coupons.config(),
    }
    facts = Facts(datetime.now(UTC), *window, config=config, metrics=metrics)
    start = None if run.warm is None else run.warm.start(run.dataset.product_ids, seed=run.seed)
    parts = learn_contents(run.dataset, hyperparameters, seed=run.seed, currency=_currency(run.history), start=start)
    parts = with_coupons(parts, coupons)
    if run.dataset.has_purchases and run.config.parts.replenishment:
        parts = with_replenishment(parts, run.dataset, seed=run.seed)
    version = write_contents(
        run.settings.bundles_dir, facts, with_content(parts, run.dataset, product_table(run.settings))
    )
    load_bundle(run.settings.bundles_dir / version)
    run.progress("learn from everything", 1, 1)
    run.timed("final", since)
    return version


def _currency(history: pl.LazyFrame) -> str | None:
    """The currency of most rows; None when none names one."""
    counted = history.filter(pl.col(CURRENCY).is_not_null()).group_by(CURRENCY).len().sort("len", CURRENCY)
    found = counted.collect(engine="streaming")[CURRENCY].to_list()
    return str(found[-1]) if found else None


def _window(dataset: Dataset) -> tuple[datetime | None, datetime | None]:
    if not dataset.has_time:
        return None, None
    first, last = float(dataset.day.min()), float(dataset.day.max())
    return datetime.fromtimestamp(first * DAY_S, UTC), datetime.fromtimestamp(last * DAY_S, UTC)
