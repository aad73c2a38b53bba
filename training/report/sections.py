"""What a report says, section by section: results in words, pictures and tables."""

from collections.abc import Mapping

from training.evaluation.results import PRODUCT, EvaluationResults, MetricEstimate, RankingMetrics
from training.metrics.calibration import Reliability
from training.release.bundle_facts import BundleFacts
from training.report import plots
from training.report.coupons import coupons_section
from training.report.formatting import (
    TITLES,
    by_size,
    cell,
    difference_in_words,
    ends,
    exposure_text,
    signed,
    title_of,
    with_ends,
)
from training.report.non_goods import non_goods_section
from training.report.page import bullets, card, cards, figure, paragraph, section, side_by_side, table
from training.report.questions import questions_section

MAIN = ("ndcg@10", "recall@10", "hit@10")
LISTED = tuple(
    f"{name}@{cutoff}" for cutoff in (5, 10, 20) for name in ("hit", "recall", "precision", "ndcg", "map", "mrr")
)
MAX_BARS = 25
TRIAL_SCORE = "ndcg"

Rankings = Mapping[str, RankingMetrics]


def all_sections(facts: BundleFacts, results: EvaluationResults) -> list[str]:
    """The sections in their order."""
    return [
        _headline(results),
        _curves(results),
        _parts(results),
        questions_section(results),
        _probabilities(results),
        _segments(results),
        _sources(results),
        _exposure(results),
        coupons_section(facts),
        _model(facts),
        non_goods_section(facts.non_goods),
        _data(facts, results),
        _reading(),
    ]


def protocol_in_words(results: EvaluationResults) -> str:
    """What was predicted for whom, in one sentence."""
    protocol = results.protocol
    size = f"{protocol.customers:,} customers, {protocol.products:,} products"
    if protocol.cut_at is None:
        return f"{size}: purchases held out at random, predicted by a bundle that did not see them."
    basket, session = "each customer's first basket", "the next product in each visitor's first session"
    if protocol.queries_with_views:
        basket += f" ({protocol.queries_with_views:,} queries with what the customer had just viewed)"
    target = session if protocol.target == "session" else basket
    return f"{size}: {target} from {protocol.cut_at:%Y-%m-%d} on, predicted by a bundle that saw nothing since."


def _headline(results: EvaluationResults) -> str:
    own, shown = results.rankings[PRODUCT], results.shown
    made = [card(title_of(name), f"{own.figures[name].mean:.3f}", ends(own.figures[name])) for name in MAIN]
    made.append(card("Calibration error", f"{shown.ece:.3f}", "of the probabilities shown"))
    made.append(card("Coverage", f"{results.exposure[PRODUCT]['coverage@10'].mean:.1%}", "of the catalogue shown"))
    picture = figure(
        _ranking_bars(results, results.rankings),
        "Endcap and plain rankings for the same customers.",
        _ranking_table("All figures of all rankings, customers in brackets", results.rankings),
    )
    differences = table(
        "Endcap minus the other, customer by customer",
        ("ranking", *map(title_of, MAIN)),
        [(name, *(signed(difference[one]) for one in MAIN)) for name, difference in results.versus.items()],
    )
    words = [difference_in_words(name, difference["ndcg@10"]) for name, difference in results.versus.items()]
    return section("At a glance", cards(made), bullets(words), picture, differences, bullets(results.notes))


def _curves(results: EvaluationResults) -> str:
    pictures = []
    for metric in ("recall", "ndcg", "hit", "precision"):
        curves = {name: by_metric[metric] for name, by_metric in results.curves.items()}
        places = (1, 5, 10, 20)
        rows = [(name, *(f"{values[place - 1]:.4f}" for place in places)) for name, values in curves.items()]
        behind = table(TITLES[metric], ("ranking", *(f"k = {place}" for place in places)), rows)
        caption = f"{TITLES[metric]} by the number of places."
        pictures.append(figure(plots.lines(curves, label=f"{TITLES[metric]}@k"), caption, behind))
    return section("By number of places", side_by_side(*pictures))


def _parts(results: EvaluationResults) -> str:
    explanations = {
        "bought again": "The same slates, measured only on products that the customer had bought before.",
        "bought for the first time": "The same slates, measured only on products new to the customer.",
        "new products": "Queries without what the customer owns, measured on products new to the customer.",
    }
    pictures = [
        figure(
            _ranking_bars(results, rankings),
            f"{name.capitalize()}. {explanations.get(name, '')}",
            _ranking_table(name.capitalize(), rankings),
        )
        for name, rankings in results.parts.items()
        if rankings[PRODUCT].customers
    ]
    share = results.protocol.repeat_share
    words = f"{share:.0%} of the products in the held-out baskets had been bought by the same customer before."
    return section("Repeats and discoveries", paragraph(words), side_by_side(*pictures)) if pictures else ""


def _probabilities(results: EvaluationResults) -> str:
    pictures = [
        figure(
            plots.reliability_diagram(one),
            f"{name.capitalize()}: {one.count:,} propositions, calibration error {one.ece:.4f} "
            f"({one.ece_equal_count:.4f} in bins of equal counts), Brier score {one.brier:.4f}.",
            _bins(one),
        )
        for name, one in results.calibration.items()
        if one.bins
    ]
    rows = [
        (
            name,
            f"{one.count:,}",
            f"{one.mean_probability:.4f}",
            f"{one.bought:.4f}",
            f"{one.ece:.4f}",
            f"{one.ece_equal_count:.4f}",
            f"{one.brier:.4f}",
        )
        for name, one in results.calibration.items()
    ]
    header = ("over", "propositions", "mean predicted", "share bought", "ECE", "ECE, equal counts", "Brier")
    return section("Probabilities", side_by_side(*pictures), table("Calibration", header, rows))


def _bins(reliability: Reliability) -> str:
    rows = [
        (str(place), f"{one.count:,}", f"{one.probability:.4f}", f"{one.bought:.4f}", f"{one.low:.4f} – {one.high:.4f}")
        for place, one in enumerate(reliability.bins, start=1)
    ]
    return table("Bins", ("bin", "propositions", "mean predicted", "share bought", "95 % interval"), rows)


def _segments(results: EvaluationResults) -> str:
    pictures = []
    for kind, groups in results.segments.items():
        if not groups:
            continue
        names = [f"{group.name} ({group.rankings[PRODUCT].customers:,})" for group in groups]
        rankings = list(groups[0].rankings)
        series = {
            ranking: {
                name: group.rankings[ranking].figures["ndcg@10"] for name, group in zip(names, groups, strict=True)
            }
            for ranking in rankings
        }
        rows = [
            (f"{name}, {ranking}", *(with_ends(group.rankings[ranking].figures[one]) for one in MAIN))
            for name, group in zip(names, groups, strict=True)
            for ranking in rankings
        ]
        behind = table(f"By {kind}", ("group (customers), ranking", *map(title_of, MAIN)), rows)
        pictures.append(
            figure(plots.bars(series, label="NDCG@10"), f"NDCG@10 by {kind}; customers in brackets.", behind)
        )
    words = "Channel and store are those of the held-out basket; activity counts baskets before the cut."
    return section("By group of customers", paragraph(words), side_by_side(*pictures))


def _sources(results: EvaluationResults) -> str:
    pictures = []
    for kind, sources in results.sources.items():
        if not sources.each:
            continue
        series = {
            "found": {name: one.found for name, one in sources.each.items()},
            "found by no other": {name: one.only for name, one in sources.each.items()},
            "recall@10 alone": {name: one.recall for name, one in sources.each.items()},
        }
        rows = [
            (name, f"{one.candidates.mean:.1f}", *map(with_ends, (one.found, one.only, one.recall)))
            for name, one in sources.each.items()
        ]
        rows.append(("all together", "", with_ends(sources.found_by_any), "", ""))
        header = ("source", "candidates", "found", "found by no other", "recall@10 alone")
        caption = (
            f"{kind.capitalize()} ({sources.customers:,} customers): all sources together find "
            f"{sources.found_by_any.mean:.1%} of what was bought."
        )
        pictures.append(
            figure(
                plots.bars(series, label="share of the products bought"),
                caption,
                table(kind.capitalize(), header, rows),
            )
        )
    return section("Candidate sources", side_by_side(*pictures))


def _exposure(results: EvaluationResults) -> str:
    series: dict[str, dict[str, MetricEstimate]] = {"shown": {}, "bought": {}}
    rows = []
    for place, group in enumerate(results.popularity_groups, start=1):
        name = f"group {place}: {group.product_count:,} products"
        series["shown"][name] = MetricEstimate(group.shown, group.shown, group.shown)
        series["bought"][name] = MetricEstimate(group.bought, group.bought, group.bought)
        rows.append((name, f"{group.shown:.1%}", f"{group.bought:.1%}"))
    picture = figure(
        plots.bars(series, label="share of all places, of all purchases"),
        "Popularity bias: products in groups that each made a fifth of past sales, the best sellers first, with the "
        "number of products in each.",
        table("Popularity groups", ("group", "shown", "bought"), rows),
    )
    names = list(results.exposure[PRODUCT])
    rows_of_rankings = [
        (ranking, *(exposure_text(name, figures[name]) for name in names))
        for ranking, figures in results.exposure.items()
    ]
    return section("What is shown", picture, table("First ten places", ("ranking", *names), rows_of_rankings))


def _model(facts: BundleFacts) -> str:
    pictures = [_weights(title, weights) for title, weights in facts.weights.items()]
    header = list(dict.fromkeys(name for trial in facts.trials for name in trial))
    tried = [
        (str(place), *(cell(trial.get(name)) for name in header)) for place, trial in enumerate(facts.trials, start=1)
    ]
    tried += [("not tried", *(cell(settings.get(name)) for name in header)) for settings in facts.not_tried]
    behind = table("Trials", ("trial", *header), tried)
    scores = [float(score) for trial in facts.trials if isinstance(score := trial.get(TRIAL_SCORE), int | float)]
    if scores:
        caption = f"{len(scores)} settings tried while tuning."
        if facts.not_tried:
            caption += f" For {len(facts.not_tried)} more the budget had no room; --budget-minutes gives it more."
        pictures.append(figure(plots.trials(scores, label=title_of(TRIAL_SCORE)), caption, behind))
    return section("What was learned", side_by_side(*pictures)) if pictures else ""


def _weights(title: str, weights: Mapping[str, float]) -> str:
    drawn = {name: MetricEstimate(value, value, value) for name, value in by_size(weights)[:MAX_BARS]}
    caption = f"{title}: {len(weights)} numbers, the largest first"
    return figure(
        plots.bars({title: drawn}, label=title),
        f"{caption}, {len(drawn)} drawn." if len(drawn) < len(weights) else f"{caption}.",
        table(title, ("name", "value"), [(name, f"{value:.5g}") for name, value in by_size(weights)]),
    )


def _data(facts: BundleFacts, results: EvaluationResults) -> str:
    protocol = results.protocol
    data = [
        ("history", facts.window),
        ("split", protocol.split),
        ("cut", "–" if protocol.cut_at is None else f"{protocol.cut_at:%Y-%m-%d %H:%M} UTC"),
        (
            "end of the test window",
            "–" if protocol.window_end_at is None else f"{protocol.window_end_at:%Y-%m-%d %H:%M} UTC",
        ),
        ("customers evaluated", f"{protocol.customers:,} of {protocol.customers_with_truth:,}"),
        ("products", f"{protocol.products:,}"),
        ("lines before the cut, used for training", f"{protocol.training_lines:,}"),
        ("products in a held-out basket", f"{protocol.truth_size:.1f}"),
        ("resamples per interval", f"{protocol.resamples:,}"),
        ("seed", str(protocol.seed)),
    ]
    return section(
        "Data and settings",
        table("Data", ("fact", "value"), data),
        table("Parameters of the bundle", ("parameter", "value"), sorted(facts.parameters.items())),
    )


def _reading() -> str:
    return section(
        "How to read this",
        bullets(
            [
                "Every product of the catalogue competes for every place; nothing is sampled away.",
                "NDCG weighs a find by its rank, recall is the share of the basket found, hit the share of customers "
                "with any find, precision the share of places that were bought.",
                "An interval holds the mean over all such customers with 95 % confidence, as far as customers differ "
                "by chance: it knows nothing of another season. Compare two rankings by their paired difference.",
                "Nobody was shown these slates. A product that was not bought may still have been a good proposition, "
                "and one that was bought might have been so without any. The figures compare rankings; they do not "
                "predict sales.",
                "A probability is right when, of all propositions with it, that share is bought in the customer's next "
                "basket. Points on the dotted line are right; those below it were predicted too high.",
                "Found by no other: what would be lost, at most, without that source.",
                "Coverage cannot exceed the places shown over the products there are. Novelty is in bits: each more "
                "halves the share of customers who ever bought the product. Diversity is 0 for a list of likes.",
            ]
        ),
    )


def _ranking_bars(results: EvaluationResults, rankings: Rankings) -> str:
    """The main figures of some rankings, each ranking in its own colour throughout the page."""
    figures = {
        ranking: {title_of(name): metrics.figures[name] for name in MAIN} for ranking, metrics in rankings.items()
    }
    label = f"mean over {rankings[PRODUCT].customers:,} customers, 95 % interval"
    return plots.bars(figures, label=label, order=list(results.rankings))


def _ranking_table(title: str, rankings: Rankings) -> str:
    header = ("figure", *(f"{name} ({metrics.customers:,})" for name, metrics in rankings.items()))
    rows = [(title_of(name), *(with_ends(metrics.figures[name]) for metrics in rankings.values())) for name in LISTED]
    return table(title, header, rows)
