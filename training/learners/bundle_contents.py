"""Everything a bundle is made of, learned from one dataset: the step between settings and files."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from app.model.bundle import Bundle, attribute_array
from training.data.dataset import Dataset, purchase_pairs
from training.learners.factors import AlsSettings, Start, fit_item_factors
from training.learners.index import longest_first
from training.learners.linear import NO_LINEAR, LinearSettings, fit_linear
from training.learners.promotions import with_promotions
from training.learners.statistics import neighbours, popularity, repeat_rate, trending
from training.learners.transitions import transitions
from training.ranking.blend import Blend, Calibration
from training.ranking.trees import Trees
from training.release.assemble import BundleContents


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """All that tuning found: with the data, they determine the bundle.

    `linear` None = without that part; without `trees` the blend ranks alone. `excludes_purchased`: what a customer has
    bought is not proposed again unless the request wants it.
    """

    als: AlsSettings
    linear: LinearSettings | None
    blend: Blend
    excludes_purchased: bool
    trees: Trees | None = None

    def scoring(self) -> dict[str, object]:
        """The ranking as scoring.json holds it."""
        ranker = (
            None
            if self.trees is None
            else {
                "columns": list(self.trees.columns),
                "ranks_new": self.trees.ranks_new,
                **asdict(self.trees.base),
            }
        )
        linear = None if self.linear is None else asdict(self.linear)
        policy = {"linear": linear, "exclude_purchased": self.excludes_purchased}
        return self.blend.document() | policy | {"ranker": ranker}


def hyperparameters_of(bundle: Bundle) -> Hyperparameters:
    """What a bundle was tuned to; KeyError or TypeError when this version knows no such hyperparameters."""
    scoring = bundle.scoring
    # scoring.json does not hold the NDCG of the fit, and no step after the fit needs it.
    by_kind = {kind: Calibration(**one) for kind, one in scoring.get("calibration_by_kind", {}).items()}
    blend = Blend(scoring["weights"], Calibration(**scoring["calibration"]), ndcg=0.0, by_kind=by_kind)
    trees = None
    if bundle.ranker is not None:
        base = Calibration(float(bundle.ranker.slope), float(bundle.ranker.intercept))
        # With trees, the calibration in scoring.json is that of blend and trees together.
        ranker = bundle.ranker
        trees = Trees(ranker.content, base, blend.calibration, columns=ranker.columns, ranks_new=ranker.ranks_new)
    linear = None
    if scoring["linear"] is not None:
        # Bundles from before the linear part had its own weighting hold none: they sum as the factors do.
        linear = LinearSettings(**scoring["linear"] | {"weighting": bundle.linear_weighting})
    return Hyperparameters(AlsSettings(**bundle.als), linear, blend, scoring["exclude_purchased"], trees)


def learn_contents(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    currency: str | None = None,
    start: Start | None = None,
) -> BundleContents:
    """Factors, statistics and index of `dataset`; the same for the same seed. Prices are in `currency`."""
    pairs = purchase_pairs(dataset)
    item_count = len(dataset.product_ids)
    factors = fit_item_factors(dataset, hyperparameters.als, seed=seed, start=start)
    companions = neighbours(dataset, seed=seed)
    followers = transitions(dataset)
    linear = NO_LINEAR
    if hyperparameters.linear is not None:
        linear = fit_linear(dataset, hyperparameters.linear)
    trends = trending(dataset)
    attributes = dataset.catalogue.attributes
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "item_factors": factors,
        "popularity": popularity(pairs, item_count, as_of_day=dataset.as_of_day),
        "repeat_rate": repeat_rate(pairs, item_count),
        "price_minor": dataset.catalogue.price_minor,
        "neighbours_idx": companions.index,
        "neighbours_score": companions.score,
        "next_idx": followers.index,
        "next_score": followers.score,
        "linear_idx": linear.index,
        "linear_weight": linear.weight,
        "trending_idx": trends.index,
        "trending_score": trends.score,
    }
    # Where one of the next two arrays is missing, a server takes no price as listed, and no unit cost as known.
    if dataset.catalogue.is_listed.any():
        arrays["price_listed"] = dataset.catalogue.is_listed
    if (dataset.catalogue.unit_cost_minor >= 0).any():
        arrays["unit_cost_minor"] = dataset.catalogue.unit_cost_minor
    arrays |= {attribute_array(column): attribute.codes for column, attribute in attributes.items()}
    documents = {
        "product_ids": dataset.product_ids,
        "catalogue": {
            "names": dataset.catalogue.names,
            "currency": currency,
            "attributes": {column: attribute.vocabulary for column, attribute in attributes.items()},
        },
        "groups": trends.groups,
        "als": asdict(hyperparameters.als),
        "scoring": hyperparameters.scoring(),
    }
    # Products run by falling buyers: nobody bought those behind this cut, and their factors are zeros.
    arrays["index_items"] = longest_first(factors[: dataset.bought_item_count])
    trees = None if hyperparameters.trees is None else hyperparameters.trees.content
    return with_promotions(BundleContents(arrays, documents, trees), dataset)
