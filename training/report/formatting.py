"""Figures in words: how a report writes numbers, intervals and differences."""

from collections.abc import Mapping

from training.evaluation.results import MetricEstimate

TITLES = {"hit": "Hit", "recall": "Recall", "precision": "Precision", "ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}


def title_of(figure: str) -> str:
    """ "NDCG@10" of "ndcg@10"."""
    name, _, cutoff = figure.partition("@")
    return f"{TITLES.get(name, name)}@{cutoff}" if cutoff else TITLES.get(name, name)


def kind_in_words(kind: str) -> str:
    """ "basket begun" of "basket_begun"."""
    return kind.replace("_", " ")


def ends(estimate: MetricEstimate) -> str:
    """Both ends of an interval."""
    return f"{estimate.low:.3f} – {estimate.high:.3f}"


def with_ends(estimate: MetricEstimate) -> str:
    """A mean with its interval behind it."""
    return f"{estimate.mean:.4f} ({ends(estimate)})"


def signed(estimate: MetricEstimate) -> str:
    """A difference with its interval, each with its sign."""
    return f"{estimate.mean:+.4f} ({signed_ends(estimate)})"


def signed_ends(estimate: MetricEstimate) -> str:
    """Both ends of a difference's interval, each with its sign."""
    return f"{estimate.low:+.4f} to {estimate.high:+.4f}"


def difference_in_words(name: str, difference: MetricEstimate) -> str:
    """What a paired difference in NDCG@10 means."""
    if difference.low == difference.high == 0:
        return f"NDCG@10 is that of {name}, customer by customer."
    side = "above" if difference.mean >= 0 else "below"
    estimate = f"NDCG@10 is {abs(difference.mean):.4f} {side} {name}"
    return f"{estimate} (95 % interval of the difference {signed_ends(difference)}): {noise_in_words(difference)}."


def noise_in_words(difference: MetricEstimate) -> str:
    """Whether zero lies outside the interval of a difference."""
    return "more than noise" if difference.low > 0 or difference.high < 0 else "within noise"


def exposure_text(name: str, estimate: MetricEstimate) -> str:
    """A figure of exposure in its own unit: shares in per cent, novelty in bits."""
    if name.startswith("coverage"):
        return f"{estimate.mean:.2%}"
    return f"{estimate.mean:.2f} bits" if name.startswith("novelty") else f"{estimate.mean:.3f}"


def by_size(weights: Mapping[str, float]) -> list[tuple[str, float]]:
    """The largest first, whatever their sign; ties: name."""
    return sorted(weights.items(), key=lambda pair: (-abs(pair[1]), pair[0]))


def cell(value: object) -> str:
    """A value of unknown kind in a table."""
    return f"{value:.5g}" if isinstance(value, float) else "–" if value is None else str(value)
