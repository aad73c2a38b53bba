"""What the bundle knows of products that a basket or a trial names."""

from collections.abc import Mapping

from app.model.bundle import Catalogue


def known_attributes(product_id: str, catalogue: Catalogue) -> Mapping[str, str]:
    """What the catalogue says of the product; nothing of one that it does not have."""
    item = catalogue.item_of.get(product_id)
    if item is None:
        return {}
    codes = {name: int(attribute.codes[item]) for name, attribute in catalogue.attributes.items()}
    return {name: catalogue.attributes[name].vocabulary[code] for name, code in codes.items() if code >= 0}
