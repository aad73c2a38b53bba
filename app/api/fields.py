"""Fields that many wire models have, each with the one text that the OpenAPI document gives it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.bounds import Id
from app.domain import Channel

CUSTOMER_ID = "The customer, by the id that the retailer's own systems use"
PRODUCT_ID = "The product, by the id of the product table"

CustomerId = Annotated[Id, Field(description=CUSTOMER_ID)]
ProductIdText = Annotated[Id, Field(description=PRODUCT_ID)]
DecisionId = Annotated[Id | None, Field(description="The decision that showed it, if one did")]
StoreId = Annotated[Id | None, Field(description="The store where the customer is, if in one")]
ChannelField = Annotated[Channel | None, Field(description="Where the customer is met, if known")]
CurrencyCode = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
"""Three letters of ISO 4217."""

CurrencyAnswer = Annotated[str, Field(description="Currency of all amounts here, ISO 4217")]
DegradedFlags = Annotated[
    list[str], Field(description="What was missing, so that the answer is less than full (docs/degradation.md)")
]
ModelVersion = Annotated[str | None, Field(description="Version of the model that answered; null where none is live")]
