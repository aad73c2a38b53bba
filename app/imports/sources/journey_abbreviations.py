"""The Complete Journey's abbreviations, written out so that a customer can read them."""

import polars as pl

ABBREVIATIONS = {
    "bnls": "boneless",
    "btl": "bottle",
    "carb": "carbonated",
    "dnrs": "dinners",
    "drnk": "drinks",
    "frsh": "fresh",
    "frzn": "frozen",
    "mlt-pk": "multipack",
    "sft": "soft",
    "veg": "vegetable",
}


def readable(what: pl.Expr) -> pl.Expr:
    """The text in lower case, abbreviations written out, as "frozen dinners"."""
    # Names were cut at 30 characters, often within brackets.
    whole = what.str.to_lowercase().str.replace(r"\([^)]*$", "").str.replace_all(r"\s+", " ")
    for short, long in ABBREVIATIONS.items():
        whole = whole.str.replace_all(rf"\b{short}\b", long)
    return whole.str.strip_chars(" :-/")
