"""What the page of two bundles says: figures in pairs, calibration, sources, settings and data that differ."""

from collections.abc import Mapping, Sequence

from training.evaluation.pairs import Pair
from training.evaluation.results import Sources
from training.release.bundle_facts import BundleFacts
from training.release.comparison import Comparison
from training.report import plots
from training.report.formatting import difference_in_words, kind_in_words, signed, title_of, with_ends
from training.report.page import bullets, figure, folded, page, paragraph, section, side_by_side, table

MAIN = ("ndcg@10", "recall@10", "hit@10", "hit@20")
DATA = ("config.data.", "config.imports", "config.products_sha256")
"""Beginnings of parameters that say what a bundle learned from; all others are settings."""
MAX_WEIGHTS = 40
ABSENT = "–"

Facts = tuple[BundleFacts, BundleFacts]
Questions = Mapping[str, Pair]


def comparison_page(
    comparison: Comparison, questions: Questions, facts: Facts, products: tuple[Sequence[str], Sequence[str]]
) -> str:
    """The whole document; the same bytes for the same comparison. `products`: the ids that each bundle holds."""
    first, second = facts
    lead = paragraph(
        f"First: {first.version}, made {first.created_at}. Second: {second.version}, made {second.created_at}. "
        "A difference is the second less the first, query by query, with its 95 % interval."
    )
    sections = [
        _headline(comparison, questions),
        _calibration(questions),
        _sources(questions),
        _settings(facts),
        _data(facts, products),
        _trainings(comparison),
    ]
    return page("Two bundles compared", lead, sections)


def _headline(comparison: Comparison, questions: Questions) -> str:
    if not questions:
        return section("The same queries", paragraph("The history holds nobody to predict for."))
    words = [
        f"{kind_in_words(kind).capitalize()}, {pair.queries:,} queries: "
        + difference_in_words("the first", pair.difference["ndcg@10"])
        for kind, pair in questions.items()
    ]
    names = {kind: f"{kind_in_words(kind)} ({pair.queries:,})" for kind, pair in questions.items()}
    series = {
        "first": {names[kind]: pair.first.figures["ndcg@10"] for kind, pair in questions.items()},
        "second": {names[kind]: pair.second.figures["ndcg@10"] for kind, pair in questions.items()},
    }
    rows = [
        (
            f"{names[kind]}, {title_of(one)}",
            with_ends(pair.first.figures[one]),
            with_ends(pair.second.figures[one]),
            signed(pair.difference[one]),
        )
        for kind, pair in questions.items()
        for one in MAIN
    ]
    behind = table("Both on the same queries", ("figure", "first", "second", "difference"), rows)
    picture = figure(plots.bars(series, label="NDCG@10, 95 % interval"), "NDCG@10; queries in brackets.", behind)
    notes = [f"Note: {comparison.note}."] if comparison.note else []
    shown = f"Distinct products shown: {comparison.shown[0]:,} and {comparison.shown[1]:,}."
    return section("The same queries", bullets([*words, shown, *notes]), picture)


def _calibration(questions: Questions) -> str:
    rows = [
        (
            f"{kind_in_words(kind)}, {side}",
            *(f"{one:.4f}" for one in (shown.mean_probability, shown.bought, shown.ece, shown.brier)),
        )
        for kind, pair in questions.items()
        for side, shown in (("first", pair.first.calibration), ("second", pair.second.calibration))
    ]
    header = ("kind of question", "mean predicted", "share bought", "ECE", "Brier")
    return section("Calibration", table("Of the first ten propositions", header, rows)) if rows else ""


def _sources(questions: Questions) -> str:
    pictures = []
    for kind, pair in questions.items():
        sides = {"first": pair.first.sources, "second": pair.second.sources}
        names = list(dict.fromkeys(name for side in sides.values() for name in side.each))
        series = {
            side: {name: sources.each[name].found for name in names if name in sources.each}
            for side, sources in sides.items()
        }
        rows = [
            (name, *(_cell(side, name, share) for share in ("found", "only") for side in sides.values()))
            for name in names
        ]
        rows.append(("all together", *(with_ends(sources.found_by_any) for sources in sides.values()), "", ""))
        header = ("source", "found, first", "found, second", "by no other, first", "by no other, second")
        picture = plots.bars(series, label="share of what was to be found")
        pictures.append(
            figure(
                picture, f"{kind_in_words(kind).capitalize()}.", table(kind_in_words(kind).capitalize(), header, rows)
            )
        )
    return section("Candidate sources", side_by_side(*pictures)) if pictures else ""


def _settings(facts: Facts) -> str:
    first, second = facts
    differing = _differing(first.parameters, second.parameters)
    rows = [row for row in differing if not row[0].startswith(DATA)]
    weights = {side: _all_weights(one) for side, one in (("first", first), ("second", second))}
    moved = sorted(
        (name for name in weights["first"] | weights["second"]),
        key=lambda name: (-abs(weights["second"].get(name, 0.0) - weights["first"].get(name, 0.0)), name),
    )
    rows_of_weights = [
        (name, *(f"{one[name]:.5g}" if name in one else ABSENT for one in weights.values()))
        for name in moved[:MAX_WEIGHTS]
        if weights["first"].get(name) != weights["second"].get(name)
    ]
    return section(
        "Settings that differ",
        _two_columns("Settings", "setting", rows),
        _two_columns(f"Weights, those that differ most, at most {MAX_WEIGHTS}", "weight", rows_of_weights),
    )


def _data(facts: Facts, products: tuple[Sequence[str], Sequence[str]]) -> str:
    first, second = facts
    ours, theirs = set(products[0]), set(products[1])
    rows = [("history", first.window, second.window)] if first.window != second.window else []
    rows += [row for row in _differing(first.parameters, second.parameters) if row[0].startswith(DATA)]
    rows.append(("products", f"{len(ours):,}", f"{len(theirs):,}"))
    rows.append(("products that the other lacks", f"{len(ours - theirs):,}", f"{len(theirs - ours):,}"))
    return section("Data that differ", _two_columns("Data", "fact", rows))


def _trainings(comparison: Comparison) -> str:
    rows = [
        (name, *(ABSENT if value is None else f"{value:.4g}" for value in pair))
        for name, pair in comparison.metrics.items()
    ]
    words = paragraph("Each on the window that its own training held out, so on other queries than above.")
    measured = folded(f"{len(rows)} figures", _two_columns("Measured in training", "figure", rows))
    return section("What the trainings measured", words, measured)


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str, str]]:
    names = sorted({*first, *second})
    pairs = ((name, first.get(name, ABSENT), second.get(name, ABSENT)) for name in names)
    return [row for row in pairs if row[1] != row[2]]


def _all_weights(facts: BundleFacts) -> dict[str, float]:
    return {f"{group}.{name}": value for group, weights in facts.weights.items() for name, value in weights.items()}


def _cell(sources: Sources, name: str, share: str) -> str:
    return with_ends(getattr(sources.each[name], share)) if name in sources.each else ABSENT


def _two_columns(title: str, first_column: str, rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return paragraph(f"{title}: none.")
    return table(title, (first_column, "first", "second"), rows)
