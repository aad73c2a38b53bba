"""What the JSON documents of a bundle must hold, as far as serving relies on it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from app.model.verification.manifest import Instant

T = TypeVar("T")
MAX_FACTORS = 4096
MAX_TOKENS = 2**24
ALL = "all"
"""The first group: whoever is in no other gets its list."""


def _distinct(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError(f"{len(values) - len(set(values)):,} of them stand there twice")
    return values


def _ids(values: list[object]) -> list[object]:
    # Not by a type per value: pydantic would hold up every other thread for 30 ms at 90,000 products.
    if not values or not all(isinstance(value, str) and value for value in values):
        raise ValueError("at least one id is needed, and none but texts that are not empty")
    return _distinct(values)


def _texts(values: list[object]) -> list[object]:
    if not all(value is None or isinstance(value, str) for value in values):
        raise ValueError("none but texts and null are names")
    return values


def _ascending(values: list[float]) -> list[float]:
    if any(one > other for one, other in pairwise(values)):
        raise ValueError("they must ascend")
    return values


def _led_by_all(groups: list[str]) -> list[str]:
    if groups[:1] != [ALL]:
        raise ValueError(f"the first group must be {ALL!r}")
    return groups


Names = Annotated[list[str], AfterValidator(_distinct)]
ProductIds = Annotated[list[Any], AfterValidator(_ids)]
Groups = Annotated[Names, AfterValidator(_led_by_all)]
Ascending = Annotated[list[FiniteFloat], AfterValidator(_ascending)]


class _Document(BaseModel):
    # Other fields stay: training writes more than serving needs.
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class CatalogueDocument(_Document):
    """Names by item, and the values of each attribute by code."""

    names: Annotated[list[Any], AfterValidator(_texts)]
    currency: str | None = None
    attributes: dict[str, Names]


class CardsDocument(_Document):
    """What front ends draw: of which columns there are arrays, and how the addresses in them begin.

    `facts` is a hash of all that shows of the products.
    """

    facts: str
    heads: dict[Literal["image_url", "url"], list[str]]
    ratings: list[Literal["rating", "rating_count"]]


Weighting = Literal["binary", "count", "decayed"]
"""How much of a product a person has: `app.decision.customer.foldin.strength`."""


class Als(_Document):
    """How a customer's vector is folded in."""

    factors: int = Field(ge=1, le=MAX_FACTORS)
    alpha: FiniteFloat = Field(ge=0)
    regularization: FiniteFloat = Field(ge=0)
    weighting: Weighting


class Calibration(_Document):
    """From a score to the log-odds of a purchase."""

    slope: FiniteFloat
    intercept: FiniteFloat


class Ranker(Calibration):
    """What the trees' table holds, and how the blend goes into their score."""

    columns: Names
    ranks_new: bool


class LinearPart(_Document):
    """How the linear part weighs purchases; as the factors where it does not say."""

    weighting: Weighting | None = None


class Scoring(_Document):
    """The ranking: a weight per column, calibrations, and the table of trees where there are any."""

    weights: dict[str, FiniteFloat]
    calibration: Calibration
    calibration_by_kind: dict[str, Calibration] = {}
    exclude_purchased: bool = False
    linear: LinearPart | None = None
    ranker: Ranker | None = None


class Content(_Document):
    """How a product's table row becomes features."""

    columns: dict[str, Annotated[int, Field(ge=0)]]
    price_edges: Ascending
    token_count: int = Field(ge=1, le=MAX_TOKENS)
    listed_at: Instant | None


class Coupons(_Document):
    """The chance that a coupon is redeemed."""

    columns: Names
    mean: list[FiniteFloat]
    scale: list[FiniteFloat]
    weights: dict[str, FiniteFloat]
    intercept: FiniteFloat
    measured: dict[str, FiniteFloat] = {}


class Rebuy(_Document):
    """The hazards of one level."""

    columns: Names
    mean: list[FiniteFloat]
    scale: list[Annotated[FiniteFloat, Field(ge=0)]]
    weights: list[list[FiniteFloat]]
    span_ends_days: Annotated[Ascending, Field(min_length=1)]


class Promotions(_Document):
    """The stores that the promotions name."""

    stores: Names


STRICT = ConfigDict(strict=True)
PRODUCT_IDS: TypeAdapter[list[str]] = TypeAdapter(ProductIds, config=STRICT)
GROUPS: TypeAdapter[list[str]] = TypeAdapter(Groups, config=STRICT)
CARDS: TypeAdapter[CardsDocument] = TypeAdapter(CardsDocument)
CATALOGUE: TypeAdapter[CatalogueDocument] = TypeAdapter(CatalogueDocument)
ALS: TypeAdapter[Als] = TypeAdapter(Als)
SCORING: TypeAdapter[Scoring] = TypeAdapter(Scoring)
CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
REBUY: TypeAdapter[Mapping[Literal["product", "category"], Rebuy]] = TypeAdapter(
    Mapping[Literal["product", "category"], Rebuy]
)
COUPONS: TypeAdapter[Coupons] = TypeAdapter(Coupons)
PROMOTIONS: TypeAdapter[Promotions] = TypeAdapter(Promotions)
