"""Which products only people of age may be shown: what the product table says, else what it calls their groups."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.domain import Ints, Mask

COLUMN = "age_restricted"
"""The product table's column: `yes`, `no`, or from which age on a customer may buy the product."""
ADULT_FROM = 16
"""Beer and wine are sold from this age on in some countries; a lower limit, as of toys and films, restricts nothing."""
MOST_BY_WORDS_RATIO = 0.5
"""A shop where more of the products are such by their words sells drinks or tobacco, and to people of age alone."""
GROUP_COLUMNS = (
    "department", "category", "product_type", "product_category", "subcategory", "sub_category", "commodity",
    "sub_commodity", "product_group", "aisle", "family",
)  # fmt: skip
"""Columns that say what kind of thing a product is. In others Wine is a colour, and Rum a scent."""
TELLING_COLUMNS = (COLUMN, *GROUP_COLUMNS)

_TOBACCO = (
    "tobaccos?", "cigarettes?", "cigarillos?", "cigars?", "e-?cig(?:arette)?s?", "snus", "snuff", "vapes?", "vaping",
    "e-?liquids?", "shisha", "hookah", "tabak", "tabakwaren", "zigaretten?", "zigarren?", "zigarillos?",
    "e-?zigaretten?", "tabacs?", "tabacos?", "cigarr(?:ill)?os?", "tabacc(?:o|hi)", "sigarett[ae]", "sigaretten",
    "sigaren", "papierosy",
)  # fmt: skip
_ALCOHOL = (
    "alcohol", "alcoholic", "beers?", "ales?", "lagers?", "stouts?", "wines?", "champagnes?", "prosecco", "vermouth",
    "spirits", "liquors?", "liqueurs?", "whisk(?:e?ys?|ies)", "vodkas?", "gins?", "rums?", "tequilas?",
    "brand(?:y|ies)", "cognacs?", "bourbons?", "ciders?", "alkohol", "alkoholi\\w+", "biere?", "weine?",
    "(?:rot|weiß|weiss|schaum)weine?", "champagner", "sekt", "spirituosen", "likör\\w*", "schnapp?s", "wodkas?",
    "alcools?", "bières?", "vins?", "cidres?", "spiritueux", "alcohol(?:es)?", "cervezas?", "vinos?", "licor(?:es)?",
    "sidras?", "alcolici", "birr[ae]", "vini", "liquor[ei]", "grappa", "wijn(?:en)?", "cervejas?", "vinhos?",
    "piw[oa]", "wina",
)  # fmt: skip
_WHOLE_WORDS = r"(?<!\w)(?:{})(?!\w)"
_IS_TOBACCO = re.compile(_WHOLE_WORDS.format("|".join(_TOBACCO)))
_IS_RESTRICTED = re.compile(_WHOLE_WORDS.format("|".join((*_TOBACCO, *_ALCOHOL))))
_IS_ANOTHER_THING = re.compile(
    r"accessor|zubehör|glass|mug|opener|corkscrew|decanter|rack|stopper|dispenser|holder|lighter|ashtray|brewing|making|"
    r"book|magazin|poster|candle|perfume|parfum|fragrance|soap|shampoo|vinegar|essig|vinaigre|sauce|cooking|jelly|gum|"
    r"chocolate|bread|batter|cheese|root beer|ginger (?:ale|beer)|apple cider|juice|mineral spirits|rubbing|isopropyl|"
    r"denatured|wipes|alcohol[ -]free|non[ -]alcoholic|alkoholfrei|sans alcool|sin alcohol|analcolic|alcoholvrij"
)
"""What has to do with drink or smoke and needs no age: a glass, vinegar, what is free of alcohol."""
_HAS_VOLUME = re.compile(r"\d\s*(?:[cm]?l|lt?r|lit(?:er|re)s?|oz|vol|%)(?!\w)")
_STEP = re.compile(r"[>»→|]")
_PART = re.compile(r"[,;&/+]|\s(?:and|und|et|y|e|en)\s")
_FILLERS = frozenset({"", "more", "other", "others", "misc", "mixers", "specialties", "mehr"})
"""Parts of a group's name that say nothing of their own."""


def unrestricted_items(names: Sequence[str | None], columns: Mapping[str, tuple[Ints, Sequence[str]]]) -> Mask | None:
    """Which of n products may be shown to everybody, (n,); None where that is all of them.

    `columns`: by name the codes (n,), -1 = unknown, and what they mean. What `age_restricted` says of a product counts.
    Where it says nothing, the words of its groups do, and those of its name where it has no group at all; but not
    where most products are such.
    """
    is_restricted, has_group = np.zeros(len(names), np.bool_), np.zeros(len(names), np.bool_)
    for column in GROUP_COLUMNS:
        if column in columns:
            codes, vocabulary = columns[column]
            is_restricted |= _is_one_of(codes, map(is_restricted_group, vocabulary))
            has_group |= codes >= 0
    others = np.flatnonzero(~has_group)
    is_restricted[others] = [is_restricted_name(names[item] or "") for item in others.tolist()]
    if np.count_nonzero(is_restricted) > MOST_BY_WORDS_RATIO * len(names):
        is_restricted[:] = False
    if COLUMN in columns:
        codes, vocabulary = columns[COLUMN]
        limits = [age_limit(value) for value in vocabulary]
        is_restricted &= ~_is_one_of(codes, (limit is not None for limit in limits))
        is_restricted |= _is_one_of(codes, (limit is not None and limit >= ADULT_FROM for limit in limits))
    return ~is_restricted if is_restricted.any() else None


def is_restricted_group(value: str) -> bool:
    """True where a step of the group's path is tobacco or alcohol as a whole.

    Beer, Wine & Spirits is; of Food, Beverages & Tobacco the steps below it say more.
    """
    return any(map(_is_restricted_step, _STEP.split(value.lower())))


def is_restricted_name(name: str) -> bool:
    """True for a name that says tobacco, or alcohol next to a volume: a beer sign and a wine list have none."""
    written = name.lower()
    if not _IS_RESTRICTED.search(written) or _IS_ANOTHER_THING.search(written):
        return False
    return bool(_IS_TOBACCO.search(written) or _HAS_VOLUME.search(written))


def age_limit(value: str) -> int | None:
    """From which age on a value of `age_restricted` lets somebody buy, 0 = any; None where it says nothing."""
    written = value.strip().lower()
    if written in ("yes", "no"):
        return 18 if written == "yes" else 0
    return int(written) if written.isdecimal() else None


def _is_restricted_step(step: str) -> bool:
    parts = [part for part in _PART.split(step) if part.strip() not in _FILLERS]
    return bool(parts) and all(_IS_RESTRICTED.search(part) and not _IS_ANOTHER_THING.search(part) for part in parts)


def _is_one_of(codes: Ints, is_wanted: Iterable[bool]) -> Mask:
    """Which codes stand for a wanted value."""
    # Code -1 (unknown) reads the last position.
    mask: Mask = np.array([*is_wanted, False], np.bool_)[codes]
    return mask
