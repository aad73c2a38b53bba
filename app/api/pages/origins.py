"""What browsers want to know before a page may read an answer (CORS): it may from origins of live publishable keys.

No cookies are used, so no `Access-Control-Allow-Credentials` is sent.
"""

from collections.abc import Collection

from fastapi import Response

MAX_AGE_S = 600
"""So long a browser need not ask again."""
REQUEST_HEADERS = b"authorization, content-type, priority, x-api-key, x-deadline-ms, x-request-id"
READABLE_HEADERS = b"retry-after, x-request-id"

Headers = list[tuple[bytes, bytes]]


def cross_origin(origin: bytes | None, allowed: Collection[bytes]) -> Headers:
    """What lets a page of this origin read the answer; nothing where it is not among those allowed."""
    if origin is None or origin not in allowed:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", READABLE_HEADERS),
        (b"vary", b"Origin"),
    ]


def preflight(method: str) -> Response:
    """The answer to a browser's question whether a page may send a request of this method."""
    headers = {
        "Access-Control-Allow-Methods": method,
        "Access-Control-Allow-Headers": REQUEST_HEADERS.decode(),
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
    return Response(status_code=204, headers=headers)
