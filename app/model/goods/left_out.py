"""Which products a bundle was trained without, though the product table has them, as its manifest lists them."""

from collections.abc import Mapping

from app.domain import JsonObject

NON_GOODS = "non_goods"
"""Where a manifest's `config` lists what looked like no goods."""


def left_out_ids(manifest: Mapping[str, JsonObject]) -> list[str]:
    """The products that training took for no goods; none in older bundles."""
    return [one["product_id"] for one in manifest["config"].get(NON_GOODS, ()) if one["is_left_out"]]
