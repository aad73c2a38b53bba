"""Figures in words: how a report writes numbers, intervals and differences."""

from collections.abc import Mapping

from training.evaluation.results import Interval

TITLES = {"hit": "Hit", "recall": "Recall", "precision": "Precision", "ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}


def title_of(figure: str) -> str:
    """ "NDCG@10" of "ndcg@10"."""
    name, _, cutoff = figure.partition("@")
    return f"{TITLES.get(name, name)}@{cutoff}" if cutoff else TITLES.get(name, name)


def ends(told: Interval) -> str:
    """Both ends of an interval."""
    return f"{told.low:.3f} – {told.high:.3f}"


def with_ends(told: Interval) -> str:
    """A mean with its interval behind it."""
    return f"{told.mean:.4f} ({ends(told)})"


def signed(told: Interval) -> str:
    """A difference with its interval, each with its sign."""
    return f"{told.mean:+.4f} ({signed_ends(told)})"


def signed_ends(told: Interval) -> str:
    """Both ends of a difference's interval, each with its sign."""
    return f"{told.low:+.4f} to {told.high:+.4f}"


def verdict(name: str, difference: Interval) -> str:
    """What a paired difference in NDCG@10 means."""
    if difference.low == difference.high == 0:
        return f"NDCG@10 is that of {name}, customer by customer."
    side = "above" if difference.mean >= 0 else "below"
    weight = "more than noise" if difference.low > 0 or difference.high < 0 else "within noise"
    told = f"NDCG@10 is {abs(difference.mean):.4f} {side} {name}"
    return f"{told} (95 % interval of the difference {signed_ends(difference)}): {weight}."


def look(name: str, told: Interval) -> str:
    """A figure of exposure in its own unit: shares in per cent, novelty in bits."""
    if name.startswith("coverage"):
        return f"{told.mean:.2%}"
    return f"{told.mean:.2f} bits" if name.startswith("novelty") else f"{told.mean:.3f}"


def by_size(weights: Mapping[str, float]) -> list[tuple[str, float]]:
    """The largest first, whatever their sign; ties: name."""
    return sorted(weights.items(), key=lambda pair: (-abs(pair[1]), pair[0]))


def cell(value: object) -> str:
    """A value of unknown kind in a table."""
    return f"{value:.5g}" if isinstance(value, float) else "–" if value is None else str(value)
