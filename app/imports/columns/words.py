"""Words that mean the same in the files of many systems: what is missing, what a row is, where it happened."""

from collections.abc import Mapping

import polars as pl

from app.domain import PURCHASE, REFUND, Channel

MISSING = frozenset(
    written
    for word in ("null", "none", "nan", "nil", "n/a", "#n/a", "na", "undefined", "(not set)", "(none)", "<na>", "nat")
    for written in (word, word.upper(), word.capitalize())
) | {"\\N", "NaN", "NaT", "-", "--", "(Not set)"}
"""What databases, spreadsheets and analytics write where there is no value."""

GUESTS = frozenset(
    written
    for word in (
        "guest",
        "guest user",
        "guest customer",
        "anonymous",
        "walk-in",
        "walk-in customer",
        "walk in customer",
    )
    for written in (word, word.upper(), word.capitalize(), word.title())
)
"""What shops write for a customer who did not say who they are."""

TOTALS = frozenset({"total", "totals", "grand total", "sum", "subtotal", "gesamt", "summe", "total général"})
"""What the first column of a line of sums says."""

IGNORED = "ignored"
"""What becomes of rows that say of themselves that nothing was bought: carts, drafts, cancelled orders."""

_KINDS: dict[str, tuple[str, ...]] = {
    PURCHASE: (
        "purchase", "purchased", "buy", "bought", "transaction", "sale", "sold", "order", "checkout", "conversion",
        "order completed", "paid", "partially_paid", "partially paid", "complete", "completed", "delivered", "shipped",
        "closed", "invoiced", "processing", "fulfilled", "done", "success", "succeeded", "approved", "captured",
        "ordered product", "normal", "bezahlt", "abgeschlossen", "versendet", "payment", "auftrag", "bestellung",
        "rechnung", "verkauf", "invoice",
    ),
    REFUND: (
        "refund", "refunded", "return", "returned", "chargeback", "charged_back", "credit", "credit note",
        "credit memo", "retoure", "gutschrift", "erstattet", "rücksendung", "rückgabe",
    ),
    "view_item": (
        "view", "viewed", "view_item", "product viewed", "product_view", "detail", "detail-page-view", "pageview",
        "page_view", "viewed product", "click", "pv", "clicks", "impression_click",
    ),
    "add_to_cart": ("cart", "add_to_cart", "addtocart", "add to cart", "product added", "add-to-cart", "basket"),
    "remove_from_cart": ("remove_from_cart", "removefromcart", "remove from cart", "product removed"),
    "add_to_wishlist": ("wishlist", "add_to_wishlist", "fav", "favorite", "favourite", "product added to wishlist"),
    IGNORED: (
        "cancelled", "canceled", "cancel", "void", "voided", "draft", "pending", "failed", "expired", "declined",
        "abandoned", "on-hold", "on hold", "open", "quotation", "created", "unavailable", "rejected", "checkout-draft",
        "pending_payment", "pending payment", "awaiting payment", "awaiting_payment", "storniert", "abgebrochen",
        "offen", "authorized", "unpaid", "test", "inactive", "layby", "layaway", "parked", "quote",
    ),
}  # fmt: skip

ROW_KINDS = {word: kind for kind, words in _KINDS.items() for word in words}
"""By the word in a column of type or status, lower case, what a row is: an event's type or `IGNORED`."""

_PHRASES = (
    (r"partial|partly|teilweise|\bteil", PURCHASE),
    (r"refund|\breturn|charge.?back|erstattet|retour|gutschrift", REFUND),
    (r"cancel|\bvoid|storn|unpaid|declin|fail|abandon|draft|pending|expire|reject|abgebrochen|awaiting", IGNORED),
    (r"\b(paid|shipped|delivered|completed?|fulfilled|bezahlt|versendet|geliefert|abgeschlossen)\b", PURCHASE),
)
"""What a longer phrase says, as "Cancelled by customer": the first pattern that is in it decides."""


def row_kinds(words: pl.Series, own: Mapping[str, str]) -> pl.Series:
    """What each word, in lower case, says that a row is; null where nobody knows. `own` words go first."""
    known = {**ROW_KINDS, **own}
    # A file has few words and many rows.
    others = pl.Series([word for word in words.drop_nulls().unique() if word not in known], dtype=pl.String)
    phrases = pl.coalesce(*(pl.when(others.str.contains(pattern)).then(pl.lit(kind)) for pattern, kind in _PHRASES))
    known |= dict(zip(others, pl.select(phrases).to_series(), strict=True))
    return words.replace_strict(known, default=None, return_dtype=pl.String)


KIND_COLUMNS = (
    "event", "event_type", "event type", "event_name", "event name", "action_type", "behavior", "behavior_type",
    "behaviour", "interaction", "interaction_type", "order_status", "order status", "financial_status",
    "financial status", "receipt type", "receipt_type", "transaction type", "transaction_type", "row_type",
)  # fmt: skip
"""Names of columns that say what a row is: a word in them that nobody knows is refused."""
KIND_ENDINGS = ("status", "state", "type", "action", "description")
"""Names that end so may say what a row is: they do where most of their words are known."""
ABOUT_MONEY = ("payment_type", "payment_method_type", "tender_type", "card_type", "price_type")
"""Names of what was paid with, though they end so: there Credit is a card."""

FLAGS = {
    **dict.fromkeys(("is_refund", "is_return", "refund", "return"), REFUND),
    **dict.fromkeys(
        (
            "cancelled", "canceled", "is_cancelled", "is_canceled", "void", "voided", "is_void", "is_voided",
            "storniert", "storno", "refunded", "is_refunded", "returned", "is_returned", "deleted", "is_test",
            "test_order",
        ),
        IGNORED,
    ),
}  # fmt: skip
"""By the name of a column of yes and no what a row with yes is."""

RATING_COLUMNS = ("rating", "stars", "overall", "score", "review_score")
"""Names of columns that say that a row is an opinion, which is no purchase."""

CHANNELS = {
    **{channel.value: channel.value for channel in Channel},
    "online": "web", "online store": "web", "website": "web", "site": "web", "internet": "web", "shop": "web",
    "e-commerce": "web", "ecommerce": "web", "web store": "web", "webshop": "web", "desktop": "web",
    "mobile": "app", "mobile app": "app", "ios": "app", "android": "app", "iphone": "app",
    "pos": "store", "point of sale": "store", "in-store": "store", "in store": "store", "instore": "store",
    "retail": "store", "offline": "store", "physical": "store", "till": "store", "brick and mortar": "store",
    "e-mail": "email", "newsletter": "email", "phone": "call", "telephone": "call", "call center": "call",
}  # fmt: skip
"""By the word of other systems, lower case, the channel."""

YES_OR_NO = dict.fromkeys(
    ("yes", "true", "1", "y", "active", "published", "enabled", "visible", "in stock", "in_stock", "ja", "x"), "yes"
) | dict.fromkeys(("no", "false", "0", "n", "inactive", "draft", "archived", "disabled", "hidden", "nein"), "no")
"""Words for yes and no, lower case."""


def without_missing(written: pl.Series, *, further: frozenset[str] = frozenset()) -> pl.Series:
    """Text in which the words for no value, and `further` ones, are null."""
    return written.set(written.is_in(list(MISSING | further)), None)
