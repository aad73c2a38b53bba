"""`endcap train`: history → splits → tuned factors and ranking → evaluation → features → bundle → release."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.ranking.features import COLUMNS
from app.errors import BadInput, BundleMissing, BundleRefused
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.goods.left_out import NON_GOODS
from app.model.product_table import ProductTable
from app.model.promotions.table import FILE as PROMOTIONS_FILE
from app.ports import Progress
from app.settings import Settings
from training.config import ModelConfig
from training.coupons.examples import CouponWorld
from training.coupons.history import coupon_history
from training.coupons.model import CouponFit, fit_coupons, with_coupons
from training.data.dataset import Dataset, history_currency, load_interactions, product_table, with_promotions
from training.data.non_goods import non_goods_document
from training.data.split import Split, never_again
from training.evaluation.baselines import Baselines, live_baselines
from training.evaluation.evaluate import Case, evaluate_bundle
from training.evaluation.results import EvaluationResults, headline
from training.evaluation.segments import segments_of
from training.features.materialize import materialize, materialize_quietly
from training.learners.bundle_contents import Hyperparameters, hyperparameters_of, learn_contents
from training.learners.cards import with_cards
from training.learners.content import with_content
from training.learners.factors import Start
from training.learners.linear import LinearSettings
from training.learners.replenishment import with_replenishment
from training.metrics.rule_comparison import notes_of
from training.queries.evaluation_queries import EvaluationQueries, build_queries, dataset_facts, sampled, with_baskets
from training.queries.moments import after_purchases
from training.queries.shared_out import SharedOut, ended
from training.queries.states import states_for
from training.queries.windows import test_and_tuning_splits
from training.ranking.blend import as_bought, default_blend
from training.ranking.fit import Ranking, candidate_window, fit_ranking, merged, not_needed
from training.release.assemble import bundle_of, write_contents
from training.release.publish import Facts, prune
from training.release.release import GateResult, release
from training.report.summary import EvaluationReport, TrainReport
from training.report.write import write_report
from training.simple_rules import Candidate, learned_or_simple
from training.tuning.factors import Trial, TuningResult, tune
from training.tuning.linear import tune_linear
from training.tuning.problem import tuning_problem
from training.warm_start import WarmStart, warm_start

DEFAULT_CONFIG = ModelConfig()
DAY_S = 86_400


@dataclass(slots=True)
class _Run:
    """What every stage of one run needs, and how long each took."""

    settings: Settings
    history: pl.LazyFrame
    dataset: Dataset
    progress: Progress
    seed: int
    shared: SharedOut
    products_sha256: str | None
    config: ModelConfig
    warm: WarmStart | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Notes how long `stage` takes."""
        since = perf_counter()
        yield
        self.note(stage, since)

    def note(self, stage: str, since: float) -> None:
        """Notes that `stage` began at `since` and ends now."""
        self.seconds[stage] = round(perf_counter() - since, 2)


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

    Raises BadInput when the history holds nothing to learn from.
    """
    started = perf_counter()
    with History(settings.history_dir).kept(), _workplace("endcap-train-") as shared:
        run = _load(settings, shared, seed=seed, progress=progress, config=config)
        run.note("load", started)
        test, tuning = _split(run)
        hyperparameters, provenance = _tune(run, tuning, budget_s=budget_s)
        held_out_bundle = _train_without(run, test, hyperparameters)
        queries = _queries(run, test)
        with run.timed("simple rules"):
            candidate = Candidate(held_out_bundle, run.dataset, test, queries, seed, shared)
            hyperparameters, held_out_bundle, rules = learned_or_simple(candidate, hyperparameters, progress)
        baselines = _baselines(run, test).with_notes(rules.notes())
        results = _evaluate(run, test, held_out_bundle, queries, baselines=baselines)
        if test.kind == "random":
            # Tuning held out from shorter histories, of which less is bought. Where time splits, the last window is as
            # good as those before, and its season no better.
            hyperparameters = replace(
                hyperparameters, blend=as_bought(hyperparameters.blend, results.shown, growth=test.growth)
            )
        coupons = _fit_coupons(run, held_out_bundle)
        metrics = headline(results) | coupons.metrics()
        writing = shared.begun(partial(materialize_quietly, settings, redis_url))
        version = _train_on_everything(run, hyperparameters, coupons, metrics, {**provenance, **rules.config()})
        report = write_report(settings.reports_dir, settings.bundles_dir / version, results)
        with run.timed("features"):
            # Before the gate, which compares the served features with the history.
            progress("features", 0, 1)
            ended(writing, partial(materialize, settings, redis_url, as_of=None, progress=progress))
            progress("features", 1, 1)
    gate = _release(run, redis_url, version) if publish else None
    run.note("total", started)
    is_published = gate is not None and gate.is_published
    return TrainReport(
        version,
        published=is_published,
        metrics=metrics,
        seconds=run.seconds,
        report=report,
        gate=gate,
        notes=rules.notes(),
        non_goods=run.dataset.non_goods,
    )


def evaluate(settings: Settings, *, seed: int, progress: Progress) -> EvaluationReport:
    """The live bundle's settings, trained again without the held-out window and evaluated on it."""
    version = current_version(settings.bundles_dir)
    live = load_bundle(settings.bundles_dir / version)
    with History(settings.history_dir).kept(), _workplace("endcap-evaluate-") as shared:
        run = _load(settings, shared, seed=seed, progress=progress)
        test, _ = _split(run)
        retrained = _train_without(run, test, hyperparameters_of(live))
        baselines = Baselines(notes=notes_of(live.manifest))
        results = _evaluate(run, test, retrained, _queries(run, test), baselines=baselines)
        report = write_report(settings.reports_dir, settings.bundles_dir / version, results)
        return EvaluationReport(version, headline(results), report)


@contextmanager
def _workplace(prefix: str) -> Iterator[SharedOut]:
    """A folder for bundles that are only measured, and the processes that answer queries by them.

    One thread for BLAS and OpenMP: single queries are too small to share, and waiting threads cost five times that.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, threadpool_limits(1), SharedOut(Path(folder)) as shared:
        yield shared


def is_up_to_date(settings: Settings) -> bool:
    """True when the live bundle is sound and nothing was imported since it was trained; events may have come in."""
    try:
        live = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    except (BundleMissing, BundleRefused):
        return False
    return bool(live.manifest["config"].get("imports") == History(settings.history_dir).import_version())


def _load(
    settings: Settings, shared: SharedOut, *, seed: int, progress: Progress, config: ModelConfig = DEFAULT_CONFIG
) -> _Run:
    # First, so that a warm start that cannot be is refused before the history is read.
    has_promotions = (settings.tables_dir / PROMOTIONS_FILE).exists()
    warm = warm_start(settings.bundles_dir, config.parts, has_promotions=has_promotions) if config.warm_start else None
    history = History(settings.history_dir).scan()
    products_sha256 = ProductTable(settings.tables_dir).sha256()
    products = product_table(settings)
    progress("load history", 0, 1)
    dataset = with_promotions(
        load_interactions(history, None if products is None else products.collect()), settings.tables_dir
    )
    progress("load history", 1, 1)
    if dataset.line_count == 0:
        remedy = "run `endcap import --transactions FILE` first"
        raise BadInput(f"{settings.history_dir} holds no purchase and no view to learn from; {remedy}")
    return _Run(settings, history, dataset, progress, seed, shared, products_sha256, config, warm)


def _split(run: _Run) -> tuple[Split, list[Split]]:
    return test_and_tuning_splits(run.dataset, seed=run.seed, max_windows=run.config.max_windows)


def _tune(run: _Run, tuning: Sequence[Split], *, budget_s: float) -> tuple[Hyperparameters, Mapping[str, object]]:
    """The hyperparameters, and how they were found, for the manifest."""
    if run.warm is not None and run.warm.can_rank:
        return run.warm.hyperparameters, {"warm_start": run.warm.version}
    if run.warm is not None:
        # The live bundle ranks by other columns than today's: the newest window is enough to weigh them again.
        ranking = _fit_ranking(run, tuning[:1], run.warm.hyperparameters)
        hyperparameters = _with_ranking(run.warm.hyperparameters, ranking)
        return hyperparameters, {"warm_start": run.warm.version, "ranking": ranking.figures}
    tuned, linear = _tune_factors(run, tuning[0], budget_s=budget_s)
    unranked = Hyperparameters(tuned.settings, linear, default_blend(COLUMNS), excludes_purchased=never_again(tuning))
    ranking = _fit_ranking(run, tuning, unranked)
    hyperparameters = _with_ranking(unranked, ranking)
    return hyperparameters, {**tuned.document(), "ranking": ranking.figures}


def _with_ranking(hyperparameters: Hyperparameters, ranking: Ranking) -> Hyperparameters:
    return replace(_without_columns(hyperparameters, ranking.dropped), blend=ranking.blend, trees=ranking.trees)


def _without_columns(hyperparameters: Hyperparameters, dropped: Sequence[str]) -> Hyperparameters:
    weights = {**hyperparameters.blend.weights, **dict.fromkeys(dropped, 0.0)}
    linear = None if "linear" in dropped else hyperparameters.linear
    return replace(hyperparameters, linear=linear, blend=replace(hyperparameters.blend, weights=weights))


def _tune_factors(run: _Run, split: Split, *, budget_s: float) -> tuple[TuningResult, LinearSettings | None]:
    """Settings of the factors and of the linear part, by the newest window before the test window."""
    space = run.config.search_space
    spent_s = 0.0

    def show(trial: Trial) -> None:
        nonlocal spent_s
        spent_s += trial.work_s
        run.progress("tune", min(round(spent_s), round(budget_s)), max(round(budget_s), 1))

    with run.timed("tune"):
        problem = tuning_problem(split, seed=run.seed)
        tuned = tune(
            problem,
            budget_s=budget_s,
            seed=run.seed,
            on_trial=show,
            start=space.start(),
            max_factors=space.max_factors,
        )
        linear = None
        if run.config.parts.linear:
            linear = tune_linear(
                problem,
                weighting=tuned.settings.weighting,
                penalties=space.penalties,
                evennesses=space.evennesses,
            )
    return tuned, linear


def _fit_ranking(run: _Run, tuning: Sequence[Split], hyperparameters: Hyperparameters) -> Ranking:
    """The blend and the trees, by the candidates of the past windows."""
    windows = []
    with run.timed("candidates"):
        for number, split in enumerate(tuning, start=1):
            bundle = _train_bundle(run, split.train, hyperparameters)
            queries = _queries(run, split)
            if run.dataset.has_purchases:
                queries = with_baskets(queries, split.train.product_ids, seed=run.seed)
                queries = after_purchases(queries, run.dataset, split, seed=run.seed)
            progress = partial(run.progress, f"candidates of window {number}")
            windows.append(merged(run.shared.answered(candidate_window, bundle, queries, progress)))
            if number == 1:
                dropped = not_needed(windows[0], seed=run.seed)
                # Older windows are spared what the ranking can do without.
                hyperparameters = _without_columns(hyperparameters, dropped)
    run.shared.end()
    # Windows drawn at random hold one another's purchases: trees look better in them than on the purchases to come.
    may_have_trees = run.config.parts.trees and run.dataset.has_time
    with run.timed("ranking"):
        return fit_ranking(windows, seed=run.seed, dropped=dropped, may_have_trees=may_have_trees)


def _train_without(run: _Run, test: Split, hyperparameters: Hyperparameters) -> Bundle:
    """A bundle that saw nothing of the test window."""
    start = None
    # Factors that have learned from the test window would take it into the evaluation.
    if run.warm is not None and run.warm.saw_nothing_of(test):
        start = run.warm.start(test.train.product_ids, seed=run.seed)
    return _train_bundle(run, test.train, hyperparameters, start=start)


def _baselines(run: _Run, test: Split) -> Baselines:
    """The live bundle's settings, trained again on what the split may know."""
    if run.warm is not None and not run.warm.saw_nothing_of(test):
        note = f"Warm start: the settings are those of bundle {run.warm.version}, live until now."
        return Baselines(notes=(note,))
    with run.timed("live settings"):
        return live_baselines(
            run.settings.bundles_dir, test, lambda live: _train_bundle(run, test.train, hyperparameters_of(live))
        )


def _evaluate(
    run: _Run, test: Split, bundle: Bundle, queries: EvaluationQueries, *, baselines: Baselines
) -> EvaluationResults:
    with run.timed("evaluate"):
        segments = segments_of(queries, test, run.history)
        return evaluate_bundle(
            Case(bundle, run.dataset, test, queries, segments, run.seed, baselines, run.shared), run.progress
        )


def _fit_coupons(run: _Run, bundle: Bundle) -> CouponFit:
    """What past campaigns teach; of the bundle only the products are used."""
    started = perf_counter()
    history = coupon_history(run.settings)
    if history is None:
        return CouponFit()
    run.progress("coupons", 0, 1)
    world = CouponWorld(history, run.dataset, run.history, product_table(run.settings), bundle)
    fit = fit_coupons(world, seed=run.seed)
    run.progress("coupons", 1, 1)
    run.note("coupons", started)
    return fit


def _train_on_everything(
    run: _Run,
    hyperparameters: Hyperparameters,
    coupons: CouponFit,
    metrics: Mapping[str, object],
    provenance: Mapping[str, object],
) -> str:
    """The version trained on the whole history, written and readable."""
    with run.timed("final"):
        run.progress("learn from everything", 0, 1)
        facts = Facts(
            datetime.now(UTC),
            *_window(run.dataset),
            config={**_manifest_config(run), **provenance, **coupons.config()},
            metrics=metrics,
        )
        start = None if run.warm is None else run.warm.start(run.dataset.product_ids, seed=run.seed)
        currency = history_currency(run.history)
        contents = learn_contents(run.dataset, hyperparameters, seed=run.seed, currency=currency, start=start)
        contents = with_coupons(contents, coupons)
        if run.dataset.has_purchases and run.config.parts.replenishment:
            contents = with_replenishment(contents, run.dataset, seed=run.seed)
        contents = with_content(contents, run.dataset, product_table(run.settings))
        contents = with_cards(contents, run.dataset)
        version = write_contents(run.settings.bundles_dir, facts, contents)
        # A bundle that no server could load ends the training here.
        load_bundle(run.settings.bundles_dir / version)
        run.progress("learn from everything", 1, 1)
    return version


def _release(run: _Run, redis_url: str, version: str) -> GateResult:
    """The gate's checks and, where it lets the bundle through, the new live version; old versions are deleted."""
    with run.timed("gate"):
        gate = release(run.settings, redis_url, version, now=datetime.now(UTC), progress=run.progress)
        prune(run.settings.bundles_dir)
    return gate


def _train_bundle(
    run: _Run, dataset: Dataset, hyperparameters: Hyperparameters, *, start: Start | None = None
) -> Bundle:
    facts = Facts(datetime.now(UTC))
    return bundle_of(run.shared.folder, facts, learn_contents(dataset, hyperparameters, seed=run.seed, start=start))


def _queries(run: _Run, split: Split) -> EvaluationQueries:
    states = states_for(run.history, product_table(run.settings), split, sampled(split, seed=run.seed))
    return build_queries(split, states, seed=run.seed)


def _manifest_config(run: _Run) -> dict[str, object]:
    """How the bundle was made, as far as the run alone decides it."""
    return {
        "seed": run.seed,
        "imports": History(run.settings.history_dir).import_version(),
        "products_sha256": run.products_sha256,
        "data": dataset_facts(run.dataset),
        NON_GOODS: non_goods_document(run.dataset.non_goods),
        "model": run.config.model_dump(include=set(ModelConfig.model_fields)),
    }


def _window(dataset: Dataset) -> tuple[datetime | None, datetime | None]:
    if not dataset.has_time:
        return None, None
    first, last = float(dataset.day.min()), float(dataset.day.max())
    return datetime.fromtimestamp(first * DAY_S, UTC), datetime.fromtimestamp(last * DAY_S, UTC)
