"""What nobody should send: JSON values as they are written, and bytes of paths, queries and headers."""

import json
from random import Random

TEXTS = (
    r'"\ud800"', r'"a\udfffb"', r'"\u0000"', r'"a\u0000b"', r'"\u001b[31m"', r'"\u0085"', r'"\u202e"',
    r'"\ud83d\ude00"',
    '""', '"   "', '" a "', '"é"', '"e\u0301"', '"١٢"', '"../../etc/passwd"', '"\' OR 1=1 --"', '"%00"', '"%"', '"{0}"',
    '"null"', '"a/b"', '"a b"', '"\\\\"', '"\ufeffa"', json.dumps("x" * 129), json.dumps("x" * 5_000),
    json.dumps("é" * 128), json.dumps("\U0001f600" * 128), json.dumps("\n" * 64),
)  # fmt: skip
TIMES = tuple(
    f'"{written}"'
    for written in (
        "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z",
        "1899-12-31T23:59:59Z", "1900-01-01T00:00:00+14:00", "2200-12-31T23:59:59.999999Z", "2201-01-01T00:00:00Z",
        "2026-11-21T17:00:60Z", "2026-02-30T00:00:00Z", "2026-11-21", "2026-11-21T17:00:00",
        "2026-11-21T17:00:00+23:59",
        "2026-11-21T17:00:00.123456789Z", "2026-03-29T02:30:00+01:00", "1970-01-01T00:00:00Z", "P1D", "now",
    )
)  # fmt: skip
NUMBERS = (
    "1e308", "-1e308", "1e309", "9223372036854775807", "9223372036854775808", "-9223372036854775809", str(2**70),
    "-0.0", "NaN", "Infinity", "-Infinity", "0", "-1", "1", "0.1", "1e-320", "1e15", "2147483648", "253402300800",
    "-62135596801",
    "1e20", "0.0000001", "1.5", "9" * 400, "9" * 5_000, "0." + "1" * 400,
)  # fmt: skip
WRONG_TYPES = (
    "null", "true", "[]", "{}", "[null]", "[[]]", '{"": null}', r'{"\ud800": 1}', '{"a": {"a": {"a": 1}}}', '["a", 1]',
    '"1"', "[1, 2]", "{\"type\": \"all\", \"of\": []}",
)  # fmt: skip
DEPTHS = (20, 255, 1_000, 100_000)
NAMES = (r'"\ud800"', '""', '"__proto__"', r'"\u0000"', '"a/b~c"', '"id"', '"x"', json.dumps("n" * 3_000))
"""Of fields that nobody knows."""
PARTS = (
    b"\xed\xa0\x80", b"\xff", b"\x00", b"\x1b[31m", b"\xc2\x85", b" ", b"%", b"..", b"a/b", "é".encode(), b"x" * 129,
    b"x" * 5_000, b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-11-21T17:00:00", b"NaN", b"-1",
    b"1e308", b"9223372036854775808", b"9" * 5_000, b"-0.0", b"null", b"{}", b"", b"true",
)  # fmt: skip
"""Of paths and queries, before they are quoted."""
HEADERS = (
    b"\xff\xfe", b"a\tb", b" ", b"", b"x" * 256, b'"quoted"', b"\xed\xa0\x80", b"\x01", b"\x7f", b"a, b",
    b"\xc3\xa9",
)  # fmt: skip
MEDIA_TYPES = (
    b"application/json; charset=utf-16", b"application/json;charset=\xff", b"text/plain", b"", b"application/json/x",
    b"application/cbor", b"APPLICATION/JSON", b"application/problem+json",
)  # fmt: skip
LONG = (51, 201, 1_001, 20_000)


def spoiled_bytes(body: bytes, random: Random) -> tuple[str, bytes]:
    """What is wrong with it, and the body that is wrong as bytes."""
    middle = random.randrange(len(body) + 1)
    return random.choice(
        [
            ("byte order mark", b"\xef\xbb\xbf" + body),
            ("cut off", body[:middle]),
            ("more behind it", body + b" {}"),
            ("no UTF-8", body[:middle] + b"\xff" + body[middle:]),
            ("surrogate in UTF-8", body[:middle] + b"\xed\xa0\x80" + body[middle:]),
            ("UTF-16", body.decode(errors="replace").encode("utf-16")),
            ("NUL", body[:middle] + b"\x00" + body[middle:]),
            ("no body", b""),
            ("spaces", b" \n" * 1_000 + body),
        ]
    )
