"""Rows of events that a page or an app sends: of its own person alone, and of types that a person may report."""

from hashlib import sha256

from app.api.pages.questions import fill_in
from app.api.pages.tokens import Person
from app.domain import JsonObject, subject_of
from app.ingest.schema import RejectedEvent

PAGE_EVENT_TYPES = (
    "view_item_list", "view_item", "select_item", "search", "scan_item", "add_to_cart", "remove_from_cart",
    "add_to_wishlist", "remove_from_wishlist", "view_cart", "begin_checkout", "view_promotion", "select_promotion",
    "dismiss_promotion", "region_enter", "region_dwell", "region_exit", "qr_scan",
)  # fmt: skip
"""What persons do where only their own device sees it; whoever reports it falsely changes their own slates at most.

All else comes from the retailer's systems: purchases and refunds earn coupons and are what is learned from, payments
and shipments are known to who takes and sends them, and stock and prices hold for everybody.
"""


def own_row(row: JsonObject, person: Person) -> JsonObject:
    """The row with the token's person in it; raises RejectedEvent."""
    if row.get("type") not in PAGE_EVENT_TYPES:
        allowed = ", ".join(PAGE_EVENT_TYPES)
        detail = (
            f"events of this type come from the retailer's own systems; with a publishable key there are: {allowed}"
        )
        raise RejectedEvent("type_not_allowed", detail, pointer="/type")
    own = dict(row)
    other = fill_in(own, person)
    if other is not None:
        raise RejectedEvent("other_person", f"{other} is not the one of the token", pointer=f"/{other}")
    return own


def page_client(client: str, person: Person) -> str:
    """Who gives events their ids here: no person's page can use up the ids of another's, or of the client's server.

    A client holds no `~`, so no two of them have one name.
    """
    return f"{client}~{sha256(subject_of(*person).encode()).hexdigest()[:16]}"
