"""Customers held in memory: what evaluation and warm-up read instead of Redis."""

from collections.abc import Mapping

from app.ports import CustomerState


class MemoryCustomers:
    """The states it was given, by customer id; anybody else is unknown."""

    def __init__(self, states: Mapping[str, CustomerState] | None = None) -> None:
        self._states = states or {}

    async def read(self, customer_id: str | None, anonymous_id: str | None) -> CustomerState:
        """The state of `customer_id`, or an empty one."""
        return self._states.get(customer_id or "", CustomerState())
