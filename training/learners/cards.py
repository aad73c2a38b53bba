"""What front ends draw of products goes into a bundle, for servers that have no product table of their own."""

from dataclasses import replace

from app.model.goods.cards import ADDRESSES, DOCUMENT, RATINGS
from app.model.goods.facts import columns_of, drawn_of, facts_of
from training.data.dataset import Dataset
from training.release.assemble import BundleContents


def with_cards(contents: BundleContents, dataset: Dataset) -> BundleContents:
    """`contents` with the cards of the dataset's products, or as they are without a product table.

    Brand and category are attributes already.
    """
    rows = dataset.catalogue.rows
    if rows is None:
        return contents
    drawn = drawn_of(rows)
    columns = columns_of(drawn, {})
    addresses = {name: getattr(columns, name) for name in ADDRESSES if getattr(columns, name) is not None}
    ratings = {name: getattr(columns, name) for name in RATINGS if getattr(columns, name) is not None}
    heads = {name: texts.heads for name, texts in addresses.items()}
    document = {"facts": facts_of(rows, drawn), "heads": heads, "ratings": list(ratings)}
    arrays = {array: values for name, texts in addresses.items() for array, values in texts.arrays(name).items()}
    return replace(
        contents,
        arrays={**contents.arrays, **arrays, **ratings},
        documents={**contents.documents, DOCUMENT.removesuffix(".json"): document},
    )
