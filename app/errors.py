"""The error tree: every failure Endcap names, each with a stable code; knows nothing of HTTP.

An error that only one module raises is defined there; the tree is complete all the same.

EndcapError
├── BadInput                   a file, a row, a request or a setting that the caller has to correct
│   ├── UnknownPlacement
│   ├── InvalidRequest         well-formed, but it asks for something impossible
│   ├── BadSetting
│   ├── InvalidTerms           the document of an offer or a campaign is not valid
│   ├── InvalidStore           places.documents
│   ├── UnknownFilter          eligibility.products
│   ├── UnknownRegion          places.hours: no holiday calendar is known for it
│   ├── RejectedEvent          ingest.schema
│   ├── Unclear                imports.columns.reading: the file could be read in two ways
│   ├── FeedRefused            imports.feed.refresh: the products feed came, and cannot be right
│   ├── InvalidIdempotencyKey  api.idempotency
│   ├── IdempotencyMismatch    sql.redemption.idempotency: the same key with another body
│   └── ReturnExceeds          sql.redemption.rollback: more is returned than was bought
├── IdempotencyKeyMissing      a write without the header that makes a repetition safe
├── Missing                    it does not exist, or not any more
│   ├── DecisionNotFound
│   ├── BundleMissing
│   ├── KeyNotFound            sql.access.keys
│   ├── ErasureNotFound        sql.customers.erasures
│   ├── NotInTable             stores.tables.cells
│   ├── ProductNotFound        api.catalogue.routes
│   ├── JobNotFound            api.imports.routes
│   ├── CampaignNotFound       sql.campaigns.campaigns
│   ├── OfferNotFound          sql.campaigns.campaigns
│   ├── CouponNotFound         sql.coupons.staff_issuing
│   ├── ReservationNotFound    sql.redemption.reservations
│   ├── RedemptionNotFound     sql.redemption.rollback
│   ├── StoreNotFound          sql.places.stores
│   ├── StockReservationNotFound  sql.places.reservations
│   └── NoBarcode              api.coupons.routes: the coupon has no number that a barcode could show
├── Conflict                   the present state does not allow it
│   ├── BadTransition          a campaign in this state cannot do that
│   ├── RequestInFlight        api.idempotency: the same request is being answered right now
│   ├── TooManyKeys            sql.access.keys
│   ├── TooManyIdentities      sql.customers.links
│   ├── Erased                 sql.customers.erasures: somebody of this name was erased
│   ├── AlreadyExists          sql.campaigns.campaigns
│   ├── RevisionConflict       sql.campaigns.campaigns: somebody else changed it first
│   ├── BudgetBelowSpend       sql.campaigns.campaigns
│   ├── NotIssuable            sql.coupons.audience_issuing
│   ├── CodeTaken              sql.coupons.issuing
│   ├── NotRevocable           sql.coupons.staff_issuing
│   ├── ReservationOver        sql.redemption.reservations
│   ├── ReservationOfOther     sql.redemption.reservations: made for another order or customer
│   ├── StoreRevisionConflict  sql.places.stores: somebody else changed the store first
│   ├── OutOfStock             sql.places.reservations: less is left than is to be put aside
│   ├── StockReservationOver   sql.places.reservations
│   ├── StockReservationOfOther  sql.places.reservations: made by another client
│   └── BudgetTooSmall         sql.accounts.backfill
├── ImportInterrupted          stores.jobs.folder
├── FeedUnavailable            imports.feed.fetch: a URL could not be fetched, or not as a whole
├── QueueFull                  stores.jobs.folder: so many imports wait that no more are taken
├── TooManyGuesses             codes were guessed too often
├── BundleRefused              a bundle is damaged, does not fit together, or cannot answer
├── ReleaseRefused             a gate check failed
├── LeakFound                  training data of a ranking holds what only the future knows
└── StoreUnavailable           Redis or the database did not answer in time
"""

from collections.abc import Iterable


def pointer_to(path: Iterable[object]) -> str:
    """A JSON pointer (RFC 6901) to the part of a document at `path`; empty for the whole."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


REFUSAL_REASONS = ("pointer", "manifest", "file", "content", "answer")
"""What can be wrong with a bundle: which one is meant, what it says of itself, a file's bytes, values that do not fit
together, or an answer of the warm-up."""


class EndcapError(Exception):
    """Something failed that has a name; `code` is stable and public."""

    code = "internal_error"

    def __init__(self, message: str, *, pointer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer


class BadInput(EndcapError):
    """The caller has to correct what was given; the message names thing, value and remedy."""

    code = "bad_input"


class UnknownPlacement(BadInput):
    """No placement of that name is configured."""

    code = "unknown_placement"


class InvalidRequest(BadInput):
    """A well-formed request asks for something impossible; `pointer` leads to it."""

    code = "invalid_request"


class BadSetting(BadInput):
    """A setting, port or directory cannot be used as given."""

    code = "bad_setting"


class InvalidTerms(BadInput):
    """The document of an offer or a campaign is not valid; `pointer` leads to the fault."""

    code = "invalid_terms"


class IdempotencyKeyMissing(EndcapError):
    """A write came without the header that makes a repetition safe."""

    code = "idempotency_key_missing"


class Missing(EndcapError):
    """It does not exist, or not any more."""

    code = "not_found"


class DecisionNotFound(Missing):
    """The decision was never made, or its keeping time is over."""

    code = "decision_not_found"


class BundleMissing(Missing):
    """No bundle has been published in this data directory."""

    code = "bundle_missing"


class Conflict(EndcapError):
    """The present state does not allow it; the message says why, and what can be done."""

    code = "conflict"


class BadTransition(Conflict):
    """A campaign in this state cannot do that; the message says what it can."""

    code = "bad_transition"


class TooManyGuesses(EndcapError):
    """So many codes failed that no more are looked up before `retry_after_s` seconds."""

    code = "too_many_guesses"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BundleRefused(EndcapError):
    """A bundle cannot be served; `reason` is the part of the check that it failed, one of REFUSAL_REASONS."""

    code = "bundle_refused"

    def __init__(self, message: str, *, reason: str = "content") -> None:
        super().__init__(message)
        self.reason = reason


class ReleaseRefused(EndcapError):
    """A gate check failed; the message says which, and how to go on."""

    code = "release_refused"


class LeakFound(EndcapError):
    """Training data of a ranking holds what only the future knows; the message says what."""

    code = "leak_found"


class StoreUnavailable(EndcapError):
    """Redis or the database did not answer in time."""

    code = "store_unavailable"
