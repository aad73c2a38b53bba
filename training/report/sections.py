"""What a report says, chapter by chapter: findings in words, pictures and tables."""

from collections.abc import Mapping

from training.evaluation.results import PRODUCT, Findings, Interval, Judged
from training.metrics.calibration import Reliability
from training.release.bundle_facts import Learned
from training.report import plots
from training.report.formatting import TITLES, by_size, cell, ends, look, signed, title_of, verdict, with_ends
from training.report.page import bullets, card, cards, figure, paragraph, section, side_by_side, table

MAIN = ("ndcg@10", "recall@10", "hit@10")
LISTED = tuple(
    f"{name}@{cutoff}" for cutoff in (5, 10, 20) for name in ("hit", "recall", "precision", "ndcg", "map", "mrr")
)
MAX_BARS = 25
TRIAL_SCORE = "ndcg"

Rankings = Mapping[str, Judged]


def all_of(learned: Learned, findings: Findings) -> list[str]:
    """The chapters in their order."""
    return [
        _headline(findings),
        _curves(findings),
        _parts(findings),
        _probabilities(findings),
        _segments(findings),
        _sources(findings),
        _exposure(findings),
        _learned(learned),
        _facts(learned, findings),
        _reading(),
    ]


def protocol_in_words(findings: Findings) -> str:
    """Who was asked what, in one sentence."""
    told = findings.protocol
    asked = f"{told.customers:,} customers, {told.products:,} products"
    if told.cut_at is None:
        return f"{asked}: purchases held out at random, asked of a bundle that did not see them."
    basket, session = "each customer's first basket", "the next product in each visitor's first session"
    if told.asked_in_visits:
        basket += f" ({told.asked_in_visits:,} asked with what they had just looked at)"
    what = session if told.foretold == "session" else basket
    return f"{asked}: {what} from {told.cut_at:%Y-%m-%d} on, asked of a bundle that saw nothing since."


def _headline(findings: Findings) -> str:
    own, shown = findings.rankings[PRODUCT], findings.calibration["shown"]
    made = [card(title_of(name), f"{own.figures[name].mean:.3f}", ends(own.figures[name])) for name in MAIN]
    made.append(card("Calibration error", f"{shown.ece:.3f}", "of the probabilities shown"))
    made.append(card("Coverage", f"{findings.exposure[PRODUCT]['coverage@10'].mean:.1%}", "of the catalogue shown"))
    picture = figure(
        _ranking_bars(findings, findings.rankings),
        "Endcap beside plain rankings of the same customers.",
        _ranking_table("All figures of all rankings, customers in brackets", findings.rankings),
    )
    differences = table(
        "Endcap minus the other, customer by customer",
        ("ranking", *map(title_of, MAIN)),
        [(name, *(signed(told[one]) for one in MAIN)) for name, told in findings.versus.items()],
    )
    words = [verdict(name, told["ndcg@10"]) for name, told in findings.versus.items()]
    return section("At a glance", cards(made), bullets(words), picture, differences, bullets(findings.notes))


def _curves(findings: Findings) -> str:
    pictures = []
    for metric in ("recall", "ndcg", "hit", "precision"):
        curves = {name: told[metric] for name, told in findings.curves.items()}
        places = (1, 5, 10, 20)
        rows = [(name, *(f"{values[place - 1]:.4f}" for place in places)) for name, values in curves.items()]
        behind = table(TITLES[metric], ("ranking", *(f"k = {place}" for place in places)), rows)
        caption = f"{TITLES[metric]} by the number of places."
        pictures.append(figure(plots.lines(curves, label=f"{TITLES[metric]}@k"), caption, behind))
    return section("By number of places", side_by_side(*pictures))


def _parts(findings: Findings) -> str:
    told = {
        "bought again": "The same slates, judged only on products that the customer had bought before.",
        "bought for the first time": "The same slates, judged only on products new to the customer.",
        "new products": "Asked without what the customer owns, judged on products new to the customer.",
        "basket begun": "Asked with a part of the basket known, judged on the rest of it.",
    }
    pictures = [
        figure(
            _ranking_bars(findings, rankings),
            f"{name.capitalize()}. {told.get(name, '')}",
            _ranking_table(name.capitalize(), rankings),
        )
        for name, rankings in findings.parts.items()
        if rankings[PRODUCT].customers
    ]
    share = findings.protocol.repeat_share
    words = f"{share:.0%} of the products in the baskets to foretell had been bought by the same customer before."
    return section("Repeats and discoveries", paragraph(words), side_by_side(*pictures)) if pictures else ""


def _probabilities(findings: Findings) -> str:
    pictures = [
        figure(
            plots.reliability_diagram(told),
            f"{name.capitalize()}: {told.count:,} propositions, calibration error {told.ece:.4f} "
            f"({told.ece_equal_count:.4f} in bins of equal counts), Brier score {told.brier:.4f}.",
            _bins(told),
        )
        for name, told in findings.calibration.items()
        if told.bins
    ]
    rows = [
        (
            name,
            f"{told.count:,}",
            f"{told.mean_probability:.4f}",
            f"{told.bought:.4f}",
            f"{told.ece:.4f}",
            f"{told.ece_equal_count:.4f}",
            f"{told.brier:.4f}",
        )
        for name, told in findings.calibration.items()
    ]
    header = ("over", "propositions", "mean told", "share bought", "ECE", "ECE, equal counts", "Brier")
    return section("Probabilities", side_by_side(*pictures), table("Calibration", header, rows))


def _bins(told: Reliability) -> str:
    rows = [
        (str(place), f"{one.count:,}", f"{one.probability:.4f}", f"{one.bought:.4f}", f"{one.low:.4f} – {one.high:.4f}")
        for place, one in enumerate(told.bins, start=1)
    ]
    return table("Bins", ("bin", "propositions", "mean told", "share bought", "95 % interval"), rows)


def _segments(findings: Findings) -> str:
    pictures = []
    for kind, groups in findings.segments.items():
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
    words = "Channel and store are those of the basket to foretell; activity counts baskets before the cut."
    return section("By group of customers", paragraph(words), side_by_side(*pictures))


def _sources(findings: Findings) -> str:
    pictures = []
    for asked, sources in findings.sources.items():
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
            f"{asked.capitalize()} ({sources.customers:,} customers): all sources together find "
            f"{sources.found_by_any.mean:.1%} of what was bought."
        )
        pictures.append(
            figure(plots.bars(series, label="share of the products bought"), caption, table(asked, header, rows))
        )
    return section("Candidate sources", side_by_side(*pictures))


def _exposure(findings: Findings) -> str:
    series: dict[str, dict[str, Interval]] = {"shown": {}, "bought": {}}
    rows = []
    for place, group in enumerate(findings.popularity_groups, start=1):
        name = f"group {place}: {group.product_count:,} products"
        series["shown"][name] = Interval(group.shown, group.shown, group.shown)
        series["bought"][name] = Interval(group.bought, group.bought, group.bought)
        rows.append((name, f"{group.shown:.1%}", f"{group.bought:.1%}"))
    picture = figure(
        plots.bars(series, label="share of all places, of all purchases"),
        "Popularity bias: products in groups that each made a fifth of past sales, the best sellers first, with the "
        "number of products in each.",
        table("Popularity groups", ("group", "shown", "bought"), rows),
    )
    names = list(findings.exposure[PRODUCT])
    looks = [(ranking, *(look(name, told[name]) for name in names)) for ranking, told in findings.exposure.items()]
    return section("What is shown", picture, table("First ten places", ("ranking", *names), looks))


def _learned(learned: Learned) -> str:
    pictures = [_weights(title, weights) for title, weights in learned.weights.items()]
    header = list(dict.fromkeys(name for trial in learned.trials for name in trial))
    tried = [
        (str(place), *(cell(trial.get(name)) for name in header)) for place, trial in enumerate(learned.trials, start=1)
    ]
    behind = table("Trials", ("trial", *header), tried)
    scores = [float(trial[TRIAL_SCORE]) for trial in learned.trials if TRIAL_SCORE in trial]
    if scores:
        caption = f"{len(scores)} settings tried while tuning."
        pictures.append(figure(plots.trials(scores, label=title_of(TRIAL_SCORE)), caption, behind))
    return section("What was learned", side_by_side(*pictures)) if pictures else ""


def _weights(title: str, weights: Mapping[str, float]) -> str:
    drawn = {name: Interval(value, value, value) for name, value in by_size(weights)[:MAX_BARS]}
    caption = f"{title}: {len(weights)} numbers, the largest first"
    return figure(
        plots.bars({title: drawn}, label=title),
        f"{caption}, {len(drawn)} drawn." if len(drawn) < len(weights) else f"{caption}.",
        table(title, ("name", "value"), [(name, f"{value:.5g}") for name, value in by_size(weights)]),
    )


def _facts(learned: Learned, findings: Findings) -> str:
    told = findings.protocol
    facts = [
        ("history", learned.window),
        ("split", told.split),
        ("cut", "–" if told.cut_at is None else f"{told.cut_at:%Y-%m-%d %H:%M} UTC"),
        (
            "end of the window that judges",
            "–" if told.window_end_at is None else f"{told.window_end_at:%Y-%m-%d %H:%M} UTC",
        ),
        ("customers asked", f"{told.customers:,} of {told.customers_with_truth:,}"),
        ("products", f"{told.products:,}"),
        ("lines learned from before the cut", f"{told.training_lines:,}"),
        ("products in a basket to foretell", f"{told.truth_size:.1f}"),
        ("resamples per interval", f"{told.resamples:,}"),
        ("seed", str(told.seed)),
    ]
    return section(
        "Data and settings",
        table("Data", ("fact", "value"), facts),
        table("Parameters of the bundle", ("parameter", "value"), sorted(learned.parameters.items())),
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
                "foretell sales.",
                "A probability is right when, of all propositions told with it, that share is bought in the customer's "
                "next basket. Points on the dotted line are right; below it, too much was promised.",
                "Found by no other: what would be lost, at most, without that source.",
                "Coverage cannot exceed the places shown over the products there are. Novelty is in bits: each more "
                "halves the share of customers who ever bought the product. Diversity is 0 for a list of likes.",
            ]
        ),
    )


def _ranking_bars(findings: Findings, rankings: Rankings) -> str:
    """The main figures of some rankings, each ranking in its own colour throughout the page."""
    figures = {ranking: {title_of(name): told.figures[name] for name in MAIN} for ranking, told in rankings.items()}
    label = f"mean over {rankings[PRODUCT].customers:,} customers, 95 % interval"
    return plots.bars(figures, label=label, order=list(findings.rankings))


def _ranking_table(title: str, rankings: Rankings) -> str:
    header = ("figure", *(f"{name} ({told.customers:,})" for name, told in rankings.items()))
    rows = [(title_of(name), *(with_ends(told.figures[name]) for told in rankings.values())) for name in LISTED]
    return table(title, header, rows)
