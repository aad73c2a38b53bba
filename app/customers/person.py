"""A person as decisions know them: all their names, what they allow, and what they never want to see."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.customers.consents import Status, is_allowed, status_on
from app.domain import Selection

OPT_OUTS = ("department", "category", "brand")
"""Attributes of products whose values a customer may opt out of."""


@dataclass(frozen=True, slots=True)
class Person:
    """`keys` are those of every identity. `personalization` as `app.customers.consents.statuses_of` gives it."""

    keys: tuple[str, ...]
    personalization: Mapping[str, Status] = field(default_factory=dict)
    opted_out: tuple[Selection, ...] = ()

    @property
    def says_no(self) -> bool:
        """Whether they withdrew it, or object, on some channel."""
        return any(status in (Status.WITHDRAWN, Status.OBJECTED) for status in self.personalization.values())

    def allows_personalization(self, channel: str | None, *, is_required: bool) -> bool:
        """Whether anything of this person may be read for an answer on the channel."""
        return is_allowed(status_on(self.personalization, channel), is_required=is_required)
