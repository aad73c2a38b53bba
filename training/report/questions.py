"""What a report says of each kind of question: what is found, how true chances are, what baskets and views add."""

from collections.abc import Mapping, Sequence

from training.evaluation.results import (
    PRODUCT,
    EvaluationResults,
    Lift,
    MetricEstimate,
    Question,
    RankingMetrics,
    Viewed,
)
from training.report import plots
from training.report.formatting import kind_in_words, noise_in_words, signed_ends, title_of, with_ends
from training.report.page import bullets, figure, paragraph, section, table

MAIN = ("ndcg@10", "recall@10", "hit@10")
OF_VIEWS = ("hit@20", "recall@20", "mrr@20")


def questions_section(results: EvaluationResults) -> str:
    """Nothing where there were no queries."""
    if not results.questions:
        return ""
    target = "viewed next" if results.protocol.target == "session" else "bought"
    words = [
        text
        for kind, question in results.questions.items()
        for text in (_lift_in_words(question.lift), _views_in_words(kind, question.viewed, target))
        if text
    ]
    return section(
        "Kinds of question",
        paragraph(f"Measured apart: {', '.join(map(kind_in_words, results.questions))}."),
        bullets(words),
        _figures(results.questions, list(results.rankings)),
        _views(results.questions),
    )


def _figures(questions: Mapping[str, Question], order: list[str]) -> str:
    names = {kind: f"{kind_in_words(kind)} ({one.rankings[PRODUCT].customers:,})" for kind, one in questions.items()}
    series: dict[str, dict[str, MetricEstimate]] = {}
    rows, behind = [], []
    for kind, question in questions.items():
        for ranking, metrics in question.rankings.items():
            series.setdefault(ranking, {})[names[kind]] = metrics.figures["ndcg@10"]
            behind.append((names[kind], ranking, *_cells(metrics, MAIN)))
        shown = question.calibration
        chances = (shown.mean_probability, shown.bought, shown.ece)
        rows.append((names[kind], *_cells(question.rankings[PRODUCT], MAIN), *(f"{one:.4f}" for one in chances)))
    header = ("kind (queries)", *map(title_of, MAIN), "mean predicted", "share bought", "ECE")
    picture = figure(
        plots.bars(series, label="NDCG@10, 95 % interval", order=order),
        "NDCG@10 by kind of question; queries in brackets.",
        table("Rankings by kind of question", ("kind (queries)", "ranking", *map(title_of, MAIN)), behind),
    )
    return table("Endcap by kind of question", header, rows) + picture


def _lift_in_words(lift: Lift | None) -> str:
    if lift is None:
        return ""
    before, added = lift.uninformed["ndcg@10"], lift.added["ndcg@10"]
    return (
        f"Knowing what is in the basket moves NDCG@10 of the rest of it from {before.mean:.4f} to "
        f"{before.mean + added.mean:.4f} (95 % interval of the difference {signed_ends(added)}): "
        f"{noise_in_words(added)}."
    )


def _views_in_words(kind: str, viewed: Viewed | None, target: str) -> str:
    if viewed is None:
        return ""
    name, (already, new) = kind_in_words(kind), (part[PRODUCT] for part in (viewed.already, viewed.new))
    return (
        f"{name.capitalize()}: {viewed.share:.0%} of what was {target} had been viewed in the visit already "
        f"(hit@20 {already.figures['hit@20'].mean:.3f}, {already.customers:,} queries); of what was new to the visit "
        f"hit@20 is {new.figures['hit@20'].mean:.3f} ({new.customers:,} queries)."
    )


def _views(questions: Mapping[str, Question]) -> str:
    rows = []
    for kind, question in questions.items():
        viewed = question.viewed
        parts = {} if viewed is None else {"viewed already": viewed.already, "new to the visit": viewed.new}
        rows += [
            (f"{kind_in_words(kind)}, {part}", ranking, f"{metrics.customers:,}", *_cells(metrics, OF_VIEWS))
            for part, rankings in parts.items()
            for ranking, metrics in rankings.items()
            if metrics.customers
        ]
    header = ("kind", "ranking", "queries", *map(title_of, OF_VIEWS))
    return table("What was viewed already, and what is new to the visit", header, rows) if rows else ""


def _cells(metrics: RankingMetrics, names: Sequence[str]) -> list[str]:
    return [with_ends(metrics.figures[name]) for name in names]
