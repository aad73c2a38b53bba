"""Everything a bundle is made of, learned from one dataset: the step between settings and files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.model.bundle import Bundle, load_bundle
from training.blend import Blend
from training.dataset import Dataset, purchase_pairs
from training.factors import AlsSettings, fit_item_factors
from training.index import build_index
from training.publish import Facts, write_bundle
from training.statistics import neighbours, popularity, repeat_rate, trending


@dataclass(frozen=True, slots=True)
class Parts:
    """Arrays, documents and blobs of one bundle, ready to be written."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    documents: Mapping[str, object]
    index: bytes


def learn_parts(
    dataset: Dataset, settings: AlsSettings, blend: Blend, *, seed: int, currency: str | None = None
) -> Parts:
    """Factors, statistics and index of `dataset`; the same for the same seed. Prices are in `currency`."""
    pairs = purchase_pairs(dataset)
    item_count = len(dataset.product_ids)
    factors = fit_item_factors(dataset, settings, seed=seed)
    companions = neighbours(dataset, seed=seed)
    trends = trending(dataset)
    attributes = dataset.catalogue.attributes
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "item_factors": factors,
        "popularity": popularity(pairs, item_count, as_of_day=dataset.as_of_day),
        "repeat_rate": repeat_rate(pairs, item_count),
        "price_minor": dataset.catalogue.price_minor,
        "neighbours_idx": companions.index,
        "neighbours_score": companions.score,
        "trending_idx": trends.index,
        "trending_score": trends.score,
    }
    arrays |= {f"attribute_{column}": attribute.codes for column, attribute in attributes.items()}
    documents = {
        "product_ids": dataset.product_ids,
        "catalogue": {
            "names": dataset.catalogue.names,
            "currency": currency,
            "attributes": {column: attribute.vocabulary for column, attribute in attributes.items()},
        },
        "groups": trends.groups,
        "als": asdict(settings),
        "scoring": blend.document(),
    }
    index = build_index(factors[: dataset.bought_item_count])
    arrays["index_items"] = index.items
    return Parts(arrays, documents, index.serialized)


def write_parts(bundles_dir: Path, facts: Facts, parts: Parts) -> str:
    """The version under which `parts` were written; nothing points to it yet."""
    blobs = {"index.faiss": parts.index}
    return write_bundle(bundles_dir, facts, arrays=parts.arrays, documents=parts.documents, blobs=blobs)


def bundle_of(folder: Path, facts: Facts, parts: Parts) -> Bundle:
    """The bundle as a server would load it, by way of files under `folder`: evaluation sees what serving sees."""
    return load_bundle(folder / write_parts(folder, facts, parts))
