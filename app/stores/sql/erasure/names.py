"""Everything by which a row or a stored response can name a person, and documents without it; pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.customers.identities import named_customer, names_in_columns
from app.domain import subject_of
from app.errors import BadInput
from app.offers.terms.codes import normal_code

ERASED = "erased"
"""What stands where a code was."""
PseudonymOf = Callable[[str], str]

_CUSTOMER_FIELDS = frozenset({"customer_id", "customer_ids", "anonymous_id"})
_CODE_FIELDS = frozenset({"code", "written_code"})
_ORDER_FIELDS = frozenset({"order_id", "decision_id"})
_OWN_FIELDS = frozenset({"redemption_id", "reservation_id"})


@dataclass(frozen=True, slots=True)
class Names:
    """A person's identity keys, coupon codes as they are compared, GS1 numbers with serial, and ids of what is theirs.

    `own_ids`: of redemptions and reservations, which are random: no other row has one by chance.
    """

    keys: frozenset[str]
    codes: frozenset[str] = frozenset()
    gs1: frozenset[str] = frozenset()
    own_ids: frozenset[str] = frozenset()

    @property
    def customer_ids(self) -> tuple[str, ...]:
        """Every form in which a column may name them."""
        return names_in_columns(self.keys)

    def is_theirs(self, customer_id: str) -> bool:
        """Whether this is one of the person's names, in whichever form."""
        try:
            return named_customer(customer_id).key in self.keys
        except BadInput:
            return False

    def is_their_code(self, typed: str) -> bool:
        """Whether somebody typed or scanned a code of theirs."""
        if normal_code(typed) in self.codes:
            return True
        return any(number in typed for number in self.gs1)


@dataclass(slots=True)
class Scrubbed:
    """A document without the person's names; `replaced` are the values that were there."""

    document: object
    replaced: list[str] = field(default_factory=list)


def scrub(document: object, names: Names, pseudonym_of: PseudonymOf) -> Scrubbed:
    """The document with pseudonyms for ids, and ERASED for codes; an order's id only where the document is theirs.

    By the names of its fields: a line, a product or another shop's order may be called as somebody's id is.
    """
    result = Scrubbed(None)
    is_own = is_about(document, names)

    def text(name: str, value: str) -> str | None:
        if name in _CUSTOMER_FIELDS and _names_them(name, value, names):
            return pseudonym_of(value)
        if name in _CODE_FIELDS and names.is_their_code(value):
            return ERASED
        if name == "gs1" and names.is_their_code(value):
            return None
        if is_own and name in _ORDER_FIELDS:
            return pseudonym_of(value)
        return value

    def walk(name: str, value: object) -> object:
        if isinstance(value, dict):
            return {of: walk(of, one) for of, one in value.items()}
        if isinstance(value, list):
            return [walk(name, one) for one in value]
        if not isinstance(value, str):
            return value
        scrubbed = text(name, value)
        if scrubbed != value:
            result.replaced.append(value)
        return scrubbed

    result.document = walk("", document)
    return result


def quoted(document: object, names: Names) -> list[str]:
    """What `scrub` would replace."""
    return scrub(document, names, lambda _: ERASED).replaced


def is_about(document: object, names: Names) -> bool:
    """Whether the document is of a redemption or reservation of theirs, or names them as its customer."""
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str):
                if name in _OWN_FIELDS and value in names.own_ids:
                    return True
                if name in _CUSTOMER_FIELDS and _names_them(name, value, names):
                    return True
            elif is_about(value, names):
                return True
    return isinstance(document, list) and any(is_about(one, names) for one in document)


def _names_them(field_name: str, value: str, names: Names) -> bool:
    return subject_of(None, value) in names.keys if field_name == "anonymous_id" else names.is_theirs(value)
