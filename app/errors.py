"""The error tree: every failure Endcap names, each with a stable code; knows nothing of HTTP.

EndcapError
├── BadInput            a file, a row, a request or a setting the caller must mend
│   ├── UnknownPlacement
│   ├── InvalidRequest  a request that is well-formed says what cannot be
│   ├── BadSetting
│   └── InvalidTerms    what an offer or a campaign would promise is no valid document
├── IdempotencyKeyMissing  a write came without the header that makes it happen once
├── Missing             what was asked for does not exist (any more)
│   ├── DecisionNotFound
│   └── BundleMissing
├── Conflict            what exists speaks against what was asked for
│   └── BadTransition   a campaign in this state cannot do that
├── TooManyGuesses      codes were guessed too often
├── BundleRefused       a bundle file is not the one its manifest promises
├── ReleaseRefused      something speaks against serving a bundle
├── LeakFound           what a ranking would be learned from knows the future
└── StoreUnavailable    Redis or Valkey did not answer in time
"""

from collections.abc import Iterable


def pointer_to(path: Iterable[object]) -> str:
    """A JSON pointer (RFC 6901) to the part of a document at `path`; empty for the whole."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


class EndcapError(Exception):
    """Something failed that has a name; `code` is stable and public."""

    code = "internal_error"

    def __init__(self, message: str, *, pointer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer


class BadInput(EndcapError):
    """The caller must mend what was given; the message names thing, value and remedy."""

    code = "bad_input"


class UnknownPlacement(BadInput):
    """No placement of that name is configured."""

    code = "unknown_placement"


class InvalidRequest(BadInput):
    """A request that is well-formed says what cannot be; `pointer` leads to it."""

    code = "invalid_request"


class BadSetting(BadInput):
    """A setting, port or directory cannot be used as given."""

    code = "bad_setting"


class InvalidTerms(BadInput):
    """What an offer or a campaign would promise is no valid document; `pointer` leads to the fault."""

    code = "invalid_terms"


class IdempotencyKeyMissing(EndcapError):
    """A write came without the header that makes it happen once."""

    code = "idempotency_key_missing"


class Missing(EndcapError):
    """What was asked for does not exist."""

    code = "not_found"


class DecisionNotFound(Missing):
    """The decision was never made, or its keeping time is over."""

    code = "decision_not_found"


class BundleMissing(Missing):
    """No bundle has been published in this data directory."""

    code = "bundle_missing"


class Conflict(EndcapError):
    """What exists speaks against what was asked for; the message says what, and what can be done."""

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
    """A bundle file is missing, damaged or not of this bundle."""

    code = "bundle_refused"


class ReleaseRefused(EndcapError):
    """The gate found something that speaks against serving a bundle; the message says what, and how to go on."""

    code = "release_refused"


class LeakFound(EndcapError):
    """Something that a ranking would be learned from knows the future; the message says what."""

    code = "leak_found"


class StoreUnavailable(EndcapError):
    """Redis or Valkey did not answer in time."""

    code = "store_unavailable"
