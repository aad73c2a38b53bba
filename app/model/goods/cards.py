"""What front ends draw of products, by item and in few bytes: addresses, brand, category and ratings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain import Card, Ints
from app.model.verification.arrays import ITEMS, Form
from app.model.verification.documents import CARDS
from app.model.verification.parts import BundleParts

DOCUMENT = "cards.json"
ADDRESSES = ("image_url", "url")
GROUPS = ("brand", "category")
RATINGS: Mapping[str, type[np.generic]] = {"rating": np.float64, "rating_count": np.int64}
COLUMNS = Card._fields
"""Of the product table."""
NO_CARD = Card()
UNKNOWN = -1
KEPT_COUNT = 4096
"""So many cards stay objects, those drawn last: 2 MB. Making one from its columns takes 2 µs."""

Numbers = npt.NDArray[Any]
Groups = tuple[Ints, Sequence[str]]
"""A code per item, -1 = none, and what the codes mean."""


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts of which many begin alike: how those of one host begin is kept once, all that follows end to end.

    `head` (n,) says which of the `heads` text i begins with, -1 where there is none, and `ends` (n + 1,) where its own
    bytes in `rests` begin and end. Of 66,000 addresses of 80 characters that share 40 that is 3 MB.
    """

    heads: Sequence[str]
    head: Ints
    rests: bytes
    ends: npt.NDArray[np.uint32]

    def text(self, item: int) -> str | None:
        """The item's text."""
        head: int = self.head.item(item)
        if head == UNKNOWN:
            return None
        return self.heads[head] + self.rests[self.ends.item(item) : self.ends.item(item + 1)].decode()

    def arrays(self, name: str) -> dict[str, Numbers]:
        """By their names the arrays in which a bundle keeps them; `heads` go with its documents."""
        sizes = np.diff(self.ends).astype(np.uint16)
        return dict(zip(_arrays(name), (self.head, sizes, np.frombuffer(self.rests, np.uint8)), strict=True))


def texts_of(heads: Sequence[str], head: Ints, sizes: Numbers, rests: bytes) -> Texts:
    """The texts of which these are the parts; `sizes` in bytes of `rests`."""
    ends = np.zeros(len(sizes) + 1, np.uint32)
    np.cumsum(sizes, out=ends[1:])
    return Texts(heads, head, rests, ends)


@dataclass(frozen=True, slots=True)
class CardColumns:
    """The columns of n products' cards, None where nothing is known of any; in ratings (n,) -1 is unknown."""

    image_url: Texts | None = None
    url: Texts | None = None
    brand: Groups | None = None
    category: Groups | None = None
    rating: Numbers | None = None
    rating_count: Numbers | None = None

    def card(self, item: int) -> Card:
        """The item's card, made of them."""
        return Card(
            None if self.image_url is None else self.image_url.text(item),
            None if self.url is None else self.url.text(item),
            _word(self.brand, item),
            _word(self.category, item),
            _number(self.rating, item),
            _number(self.rating_count, item),
        )


def _word(group: Groups | None, item: int) -> str | None:
    if group is None:
        return None
    codes, words = group
    code: int = codes.item(item)
    return None if code == UNKNOWN else words[code]


def _number(numbers: Numbers | None, item: int) -> Any:
    number = UNKNOWN if numbers is None else numbers.item(item)
    return None if number == UNKNOWN else number


@dataclass(frozen=True, slots=True)
class Cards:
    """`of` gives an item's card. `version` is that of all that is shown of products, on every channel the same."""

    version: str
    columns: CardColumns = CardColumns()
    of: Callable[[int], Card] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", lru_cache(KEPT_COUNT)(self.columns.card))

    def __reduce__(self) -> tuple[type["Cards"], tuple[str, CardColumns]]:
        # Other processes keep cards of their own.
        return Cards, (self.version, self.columns)


NO_CARDS = Cards("")


def cards_of(columns: CardColumns, *, bundle_version: str, facts: str) -> Cards:
    """The cards of a bundle's products, of which `facts` is a hash of all that shows."""
    return Cards(catalogue_version(bundle_version, facts), columns)


def catalogue_version(bundle_version: str, facts: str) -> str:
    """16 characters that are other ones for another bundle and for other facts of products."""
    return blake2b(f"{bundle_version} {facts}".encode(), digest_size=8).hexdigest()


def read_cards(parts: BundleParts, groups: Mapping[str, Groups]) -> Cards:
    """The cards in a bundle's files. Without a product table, and in older bundles, groups are all that is known."""
    columns: dict[str, Any] = {name: groups.get(name) for name in GROUPS}
    facts = ""
    if parts.files.has(DOCUMENT):
        document = parts.document(DOCUMENT, CARDS)
        facts = document.facts
        columns |= {name: _read_texts(parts, name, heads) for name, heads in document.heads.items()}
        columns |= {
            name: parts.array(f"{name}.npy", Form(RATINGS[name], (ITEMS,), least=-1)) for name in document.ratings
        }
    return cards_of(CardColumns(**columns), bundle_version=parts.files.typed.version, facts=facts)


def _read_texts(parts: BundleParts, name: str, heads: Sequence[str]) -> Texts:
    known, size = f"beginnings of {name!r}", f"bytes of {name!r}"
    parts.sizes.state(known, len(heads), DOCUMENT)
    head_file, sizes_file, rests_file = (f"{array}.npy" for array in _arrays(name))
    head = parts.array(head_file, Form(np.int32, (ITEMS,), least=UNKNOWN, below=known))
    sizes = parts.array(sizes_file, Form(np.uint16, (ITEMS,)))
    parts.sizes.state(size, int(sizes.sum(dtype=np.int64)), sizes_file)
    return texts_of(heads, head, sizes, parts.array(rests_file, Form(np.uint8, (size,))).tobytes())


def _arrays(name: str) -> tuple[str, str, str]:
    return f"{name}_head", f"{name}_sizes", f"{name}_rests"
