"""What stores, their stock, their prices and goods put aside look like on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.documents import RequestModel
from app.api.fields import ProductIdText
from app.api.money import Money
from app.bounds import QUANTITY_MAX, Id
from app.places.documents import StoreDocument

RESERVATION_MINUTES = 7 * 24 * 60
Revision = Annotated[int, Field(ge=0, description="Of the store, from 1; each change makes it one more")]


class StoreRequest(StoreDocument):
    """A store as it is to be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Berlin Mitte",
                    "position": {"latitude": 52.52, "longitude": 13.405},
                    "time_zone": "Europe/Berlin",
                    "holiday_region": "DE-BE",
                    "opening_hours": {"weekly": {"monday": [{"opens": "08:00", "closes": "20:00"}]}},
                    "ways": {"in_store": {}, "pickup": {"lead_minutes": 120, "cut_off": "18:00"}},
                }
            ]
        }
    )

    # A document of the store names it, a request only repeats the path.
    store_id: Id | None = Field(default=None, description="As in the path, where it is given")  # type: ignore[assignment]
    revision: Revision | None = Field(
        default=None, description="The one that was read, 0 for none: another change since then is refused with 409"
    )


class StoreAnswer(StoreDocument):
    """A store as it stands."""

    revision: Revision


class StoresAnswer(BaseModel):
    """Stores by id."""

    stores: list[StoreAnswer] = Field(description="At most 1,000; ask for those after the last one to go on")


class StockAnswer(BaseModel):
    """What is known of a product in one store."""

    store_id: str = Field(description="The store or warehouse")
    quantity: float | None = Field(description="As reported, in the product's unit of sale; null: unknown")
    reserved: float = Field(description="How much of it is put aside")
    available: float | None = Field(description="What can still be had: quantity less reserved, and never below 0")


class ProductStockAnswer(BaseModel):
    """One product in all stores and warehouses that report it."""

    product_id: str = Field(description="The product")
    available: float = Field(description="What can be had in all of them together")
    stores: list[StockAnswer] = Field(description="By store id")


class PriceAnswer(BaseModel):
    """A price and since when it counts."""

    effective_at: datetime = Field(description="From when on it counts")
    price: Money | None = Field(description="What a piece costs; null: from then on no price of its own")


class PriceHistoryAnswer(BaseModel):
    """All prices of a product in one store, or of those that count where a store has none of its own."""

    product_id: str = Field(description="The product")
    store_id: str | None = Field(description="The store; null: every store that has no price of its own")
    prices: list[PriceAnswer] = Field(description="The latest first")
    reference_price: Money | None = Field(description="What a reduction to the present price may name; null: nothing")


class GoodsLine(RequestModel):
    """So much of a product."""

    product_id: ProductIdText
    quantity: Annotated[float, Field(gt=0, le=QUANTITY_MAX, allow_inf_nan=False)] = Field(
        default=1.0, description="In the product's unit of sale, to three decimals"
    )


class StockReservationRequest(RequestModel):
    """Goods to be put aside in one store for one order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "store_id": "330",
                    "order_id": "order-1",
                    "customer_id": "900",
                    "lines": [{"product_id": "995242", "quantity": 1}],
                    "ttl_minutes": 120,
                }
            ]
        }
    )

    store_id: Id = Field(description="The store that the goods are in")
    order_id: Id = Field(description="The order that they are for")
    customer_id: Id | None = Field(default=None, description="Whose order it is, where that is known")
    lines: list[GoodsLine] = Field(min_length=1, max_length=200, description="Each product once")
    ttl_minutes: Annotated[int, Field(strict=True, ge=1, le=RESERVATION_MINUTES)] = Field(
        default=120, description="After so long the goods are free again"
    )


class StockReservationAnswer(BaseModel):
    """Goods that were put aside."""

    reservation_id: str = Field(description="Names the reservation")
    status: Literal["held", "collected", "released", "expired"] = Field(description="What became of the goods")
    store_id: str = Field(description="The store that the goods are in")
    order_id: str = Field(description="The order that they are for")
    customer_id: str | None = Field(description="Whose order it is; null where that is not known")
    lines: list[GoodsLine] = Field(description="What was put aside")
    created_at: datetime = Field(description="Since when")
    expires_at: datetime = Field(description="First instant at which the goods are free again")
