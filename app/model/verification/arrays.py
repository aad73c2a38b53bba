"""What the arrays of a bundle must look like: one table of types, sizes that must agree, and bounds of values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Of whichever type its form asks for."""


@dataclass(frozen=True, slots=True)
class Form:
    """One array's type and shape. A size by name is the same in every array that names it; a number is itself.

    `least`: no value is smaller. `below`: the size that every value stays under, as positions do.
    """

    dtype: type[np.generic]
    sizes: tuple[str | int, ...]
    least: int | None = None
    below: str | None = None


ITEMS, FACTORS, GROUPS, CONTENT = "products", "factors", "groups", "content features"
"""Sizes that a document states before any array is read, but for the factors."""

FORMS: Mapping[str, Form] = {
    "item_factors.npy": Form(np.float32, (ITEMS, FACTORS)),
    "popularity.npy": Form(np.float32, (ITEMS,)),
    "repeat_rate.npy": Form(np.float32, (ITEMS,)),
    "price_minor.npy": Form(np.int64, (ITEMS,), least=-1),
    "unit_cost_minor.npy": Form(np.int64, (ITEMS,), least=-1),
    "price_listed.npy": Form(np.bool_, (ITEMS,)),
    "index_items.npy": Form(np.int32, ("indexed products",), least=0, below="indexed products"),
    "neighbours_idx.npy": Form(np.int32, (ITEMS, "neighbours"), least=-1, below=ITEMS),
    "neighbours_score.npy": Form(np.float32, (ITEMS, "neighbours")),
    "next_idx.npy": Form(np.int32, (ITEMS, "followers"), least=-1, below=ITEMS),
    "next_score.npy": Form(np.float32, (ITEMS, "followers")),
    # Padding repeats position 0 with weight 0.
    "linear_idx.npy": Form(np.int32, ("linear products", "linear weights"), least=0, below="linear products"),
    "linear_weight.npy": Form(np.float32, ("linear products", "linear weights")),
    "trending_idx.npy": Form(np.int32, (GROUPS, "trending products"), least=-1, below=ITEMS),
    "trending_score.npy": Form(np.float32, (GROUPS, "trending products")),
    "content_weights.npy": Form(np.float32, (CONTENT, FACTORS)),
}


def codes_form(size: str) -> Form:
    """A column of the catalogue: positions in its vocabulary, whose length is known by the name `size`."""
    return Form(np.int32, (ITEMS,), least=-1, below=size)


class Sizes:
    """The sizes known so far, each with the file that stated it first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, str]] = {}

    def state(self, size: str, count: int, file: str) -> None:
        """Notes what a document says before arrays are checked against it."""
        self._known[size] = count, file

    def fault(self, file: str, array: Array, form: Form) -> str | None:
        """What is wrong with this array, in words that go on from the file's name; None when nothing is."""
        if array.dtype != form.dtype:
            return f"holds {array.dtype}, not {np.dtype(form.dtype)}"
        if array.ndim != len(form.sizes):
            return f"has {array.ndim} dimensions, not {len(form.sizes)}"
        for count, size in zip(array.shape, form.sizes, strict=True):
            expected, source = self._known.setdefault(size, (count, file)) if isinstance(size, str) else (size, "")
            if count != expected:
                return (
                    f"has {count:,} {size}, {source} {expected:,}" if source else f"has {count:,} columns, not {size}"
                )
        return self._fault_of_values(array, form)

    def _fault_of_values(self, array: Array, form: Form) -> str | None:
        if np.issubdtype(array.dtype, np.inexact):
            wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
            return f"holds {wrong:,} values that are not finite" if wrong else None
        if form.least is None or not array.size:
            return None
        least, most = int(array.min()), int(array.max())
        if least < form.least:
            return f"holds {least:,}, the least that means anything is {form.least}"
        if form.below is not None and most >= self._known[form.below][0]:
            return f"holds position {most:,} of {self._known[form.below][0]:,} {form.below}"
        return None
