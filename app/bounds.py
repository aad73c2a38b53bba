"""What every door accepts, alike in requests, files and tables: ids, instants and numbers."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

ID_LENGTH = 128
"""Characters of an id, the spaces around it left out: the width of its columns in SQL."""
NAME_LENGTH = 200
"""Characters of a name that people read."""
FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Years in UTC. Any time zone, and some days more or less, stay on the calendar."""
CLOCK_SKEW = timedelta(minutes=10)
"""What has happened may be so much later than our clock, because the sender's may be ahead."""
QUANTITY_MAX = 1e6
RATING_COUNT_MAX = 10**9
LINK_LENGTH = 2000
LINK_START = "^(?:[hH][tT][tT][pP][sS]?:/)?/"
LINK = LINK_START + r'[^\s\x00-\x1f\x7f-\x9f"<>\\`]+$'
"""What a page may link to or show as a picture: a URL of http or https, or a path from `/`, and no script."""

CONTROL_CHARACTERS = r"[\x00-\x1f\x7f-\x9f]"
WITHOUT_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]+$"

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=ID_LENGTH, pattern=WITHOUT_CONTROL)
]
"""An id or a short name: trimmed, valid Unicode, without control characters."""


def in_bounds(instant: datetime) -> datetime:
    """The instant in UTC; raises ValueError outside the years that are taken."""
    # Compared before the conversion, which fails where the calendar ends.
    if FIRST_YEAR < instant.year < LAST_YEAR:
        return instant.astimezone(UTC)
    if FIRST_YEAR - 1 <= instant.year <= LAST_YEAR + 1:
        converted = instant.astimezone(UTC)
        if FIRST_YEAR <= converted.year <= LAST_YEAR:
            return converted
    raise ValueError(f"Input should lie between the years {FIRST_YEAR} and {LAST_YEAR}")


def as_link(text: str) -> str:
    """The text; raises ValueError where it is no LINK."""
    if re.fullmatch(LINK, text) is None:
        raise ValueError("Input should be a URL as https://… or a path from /, without spaces and quotes")
    return text


Link = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LINK_LENGTH), AfterValidator(as_link)
]
"""Where a picture or a page is."""

Instant = Annotated[AwareDatetime, AfterValidator(in_bounds)]
"""An instant with an offset, in UTC from then on."""


def is_ahead(instant: datetime, *, now: datetime) -> bool:
    """True for what cannot have happened yet, the clocks of senders being a little off."""
    return instant > now + CLOCK_SKEW


def valid_text(text: str) -> str:
    """The text, with each half of a surrogate pair (which no UTF-8 can hold) as a question mark."""
    return text.encode(errors="replace").decode()
