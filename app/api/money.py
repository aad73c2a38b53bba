"""Money on the wire."""

from pydantic import BaseModel, Field


class Money(BaseModel):
    """An amount of money."""

    amount_minor: int = Field(description="In minor units of the currency: cents")
    currency: str = Field(description="ISO 4217")
