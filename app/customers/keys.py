"""Every name of one person: what their rows are found by, wherever they lie."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """The ids by which one person is known.

    What names another customer is that customer's, also where it was seen on a device with one of these anonymous ids.
    """

    customer_ids: frozenset[str] = frozenset()
    anonymous_ids: frozenset[str] = frozenset()
