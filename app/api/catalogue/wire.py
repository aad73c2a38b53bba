"""What products look like on the wire: fields that Endcap knows, and attributes that are the retailer's own."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from app.api.documents import ParsedLater, RequestModel
from app.api.fields import CurrencyCode, ProductIdText
from app.bounds import RATING_COUNT_MAX, Link
from app.offers.terms.money import MAX_MINOR
from app.stores.tables.cells import Cells

MAX_ROWS = 1000
MAX_ATTRIBUTES = 100
AMOUNTS = ("price_minor", "unit_cost_minor", "competitor_price_minor")
NUMBERS_AS_TEXT = ("shelf_life_days", "rating", "rating_count")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,63}$")]
Amount = Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)]
Age = Annotated[int, Field(strict=True, ge=2, le=99)]
Attributes = Annotated[
    dict[AttributeName, Text | None],
    Field(
        max_length=MAX_ATTRIBUTES, description="Further columns by their name, which filters can use; null clears one"
    ),
]


class ProductFields(RequestModel):
    """What a call says of a product. A field that it lacks keeps what is stored; null clears it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"price_minor": 249, "currency": "EUR", "attributes": {"organic": "yes"}}]}
    )

    name: Text | None = Field(default=None, description="As customers read it")
    brand: Text | None = Field(default=None, description="Its brand")
    department: Text | None = Field(default=None, description="Where it stands in the shop")
    category: Text | None = Field(default=None, description="What kind of product it is")
    price_minor: Amount | None = Field(default=None, description="Its price in minor units")
    unit_cost_minor: Amount | None = Field(default=None, description="What a piece costs the retailer, in minor units")
    competitor_price_minor: Amount | None = Field(
        default=None, description="What a competitor asks for it, in minor units: the feature competitor_price_gap"
    )
    currency: CurrencyCode | None = Field(
        default=None, description="Of all amounts, ISO 4217; ENDCAP_CURRENCY where an amount comes without it"
    )
    shelf_life_days: Annotated[int, Field(strict=True, ge=0, le=36_500)] | None = Field(
        default=None, description="Days from delivery to its end"
    )
    image_url: Link | None = Field(default=None, description="Where its picture is: a URL of http or https, or a path")
    url: Link | None = Field(default=None, description="Where its page is: a URL of http or https, or a path")
    rating: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="What customers think of it in the mean, on whatever scale the front end draws"
    )
    rating_count: Annotated[int, Field(strict=True, ge=0, le=RATING_COUNT_MAX)] | None = Field(
        default=None, description="How many of them rated it"
    )
    recommendable: bool | None = Field(
        default=None, description="False: kept for the history, and in no slate any more; null means true"
    )
    age_restricted: StrictBool | Age | None = Field(
        default=None,
        description="True, or from which age on a customer may buy it: shown only where the placement allows that; "
        "false: shown everywhere; null: by the words of its category (docs/ranking.md#age-restricted-products)",
    )
    attributes: Attributes = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if "currency" in self.model_fields_set and not self.model_fields_set.intersection(AMOUNTS):
            raise ValueError(f"currency needs an amount next to it: {', '.join(AMOUNTS)}")
        known = RESERVED.intersection(self.attributes)
        if known:
            raise ValueError(f"attributes: {', '.join(sorted(known))} is no attribute, but a field of its own")
        return self

    def cells(self, product_id: str, *, currency: str) -> Cells:
        """The row as the table has it."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"attributes", "product_id"}}
        if "recommendable" in given:
            given["recommendable"] = {True: "yes", False: "no", None: None}[given["recommendable"]]
        if given.get("age_restricted") is not None:
            limit = given["age_restricted"]
            given["age_restricted"] = str(limit) if not isinstance(limit, bool) else "yes" if limit else "no"
        given |= {name: str(given[name]) for name in NUMBERS_AS_TEXT if given.get(name) is not None}
        if any(given.get(name) is not None for name in AMOUNTS):
            given["currency"] = given.get("currency") or currency
        return {"product_id": product_id, **given, **self.attributes}


class ProductRow(ProductFields):
    """A product in a batch."""

    product_id: ProductIdText


RESERVED = frozenset({*ProductRow.model_fields, "price", "unit_cost", "competitor_price", "listed_at"})


class ProductBatch(RequestModel):
    """At most 1,000 products. Each is checked by itself: one that is none is rejected, the others are stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "products": [
                        {"product_id": "995242", "name": "Oat drink 1 l", "price_minor": 219, "currency": "EUR"},
                        {"product_id": "840361", "recommendable": False},
                    ]
                }
            ]
        }
    )

    products: list[Annotated[object, ParsedLater(ProductRow)]] = Field(
        min_length=1, max_length=MAX_ROWS, description="Of rows with one id the later one counts, field by field"
    )


class RowResult(BaseModel):
    """What became of one row."""

    product_id: str | None = Field(description="The row's own id; null where it has none that can be read")
    status: Literal["accepted", "rejected"] = Field(description="`accepted` is on disk")
    code: str | None = Field(default=None, description="Why it was rejected: stable, for programs (docs/errors.md)")
    detail: str | None = Field(default=None, description="Why it was rejected, in words")
    pointer: str | None = Field(default=None, description="JSON Pointer to the part of the request that is wrong")


class RowResults(BaseModel):
    """What became of each row."""

    results: list[RowResult] = Field(description="One per row, in the order of the request")


class ProductAnswer(BaseModel):
    """A product as it is stored."""

    product_id: ProductIdText
    name: str | None = Field(description="As customers read it")
    brand: str | None = Field(description="Its brand")
    department: str | None = Field(description="Where it stands in the shop")
    category: str | None = Field(description="What kind of product it is")
    price_minor: int | None = Field(description="Its price in minor units")
    unit_cost_minor: int | None = Field(description="What a piece costs the retailer, in minor units")
    competitor_price_minor: int | None = Field(description="What a competitor asks for it, in minor units")
    currency: str | None = Field(description="Of all amounts, ISO 4217")
    shelf_life_days: str | None = Field(description="Days from delivery to its end, as the table has it")
    image_url: str | None = Field(description="Where its picture is")
    url: str | None = Field(description="Where its page is")
    rating: float | None = Field(description="What customers think of it in the mean")
    rating_count: int | None = Field(description="How many of them rated it")
    recommendable: bool = Field(description="False: kept for the history, and in no slate any more")
    age_restricted: str | None = Field(description="`yes`, `no`, or from which age on a customer may buy it")
    listed_at: datetime | None = Field(description="When it joined a table that was there already")
    attributes: dict[str, str] = Field(description="Further columns that it has a value in")


def product_document(row: Mapping[str, object]) -> dict[str, object]:
    """A row of the table as an answer."""
    known = {name: row.get(name) for name in ProductAnswer.model_fields if name != "attributes"}
    attributes = {name: str(value) for name, value in row.items() if name not in known and value is not None}
    numbers = {"rating": _number(row.get("rating"), float), "rating_count": _number(row.get("rating_count"), int)}
    return {**known, **numbers, "recommendable": row.get("recommendable") != "no", "attributes": attributes}


def _number(stored: object, kind: type[int] | type[float]) -> float | None:
    """The number; None where a file brought other words under this name before it was a number's."""
    try:
        return None if stored is None else kind(str(stored))
    except ValueError:
        return None
