"""From one Redis hash to a customer's features: reads Feast's online layout without importing the SDK.

Feast keeps one hash per entity (docs/features.md): the key is the serialized entity key plus the project,
a field is the murmur3 hash of `view:feature`, a value one `feast.types.Value`, `_ts:<view>` the row's time.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

import mmh3
import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from app.domain import CustomerFeatures, Floats, JsonObject
from app.feature_fields import (
    ACTIVITY,
    CUSTOMER_PROFILE,
    CUSTOMER_PURCHASES,
    FEATURES,
    NOT_SERVED,
    PROFILE,
    PROJECT,
    PURCHASES,
)

Scalar = float | str | tuple[str, ...]

_PROJECT = PROJECT.encode()


def _key_prefix(join_key: bytes) -> bytes:
    # 2 is ValueType.STRING of feast.types.
    # The first 1 is the number of join keys, in version 3 of Feast's serialization.
    return struct.pack("<III", 1, 2, len(join_key)) + join_key + struct.pack("<I", 2)


_CUSTOMER_PREFIX = _key_prefix(b"customer_id")


def customer_key(customer_id: str) -> bytes:
    """The customer's hash in Redis; deleting it forgets their features in all views."""
    return _key(_CUSTOMER_PREFIX, customer_id)


def entity_key(join_key: str, entity_id: str) -> bytes:
    """The same of any entity, by the name of its id."""
    return _key(_key_prefix(join_key.encode()), entity_id)


def _key(prefix: bytes, entity_id: str) -> bytes:
    name = entity_id.encode()
    return b"".join((prefix, struct.pack("<I", len(name)), name, _PROJECT))


def feature_field(view: str, name: str) -> bytes:
    """A feature's field in the hash."""
    return struct.pack("<I", mmh3.hash(f"{view}:{name}", signed=False))


def timestamp_field(view: str) -> bytes:
    """The field with the time of a view's row."""
    return f"_ts:{view}".encode()


def view_fields(view: str) -> list[bytes]:
    """Every field that a row of the view has in a hash."""
    return [timestamp_field(view), *(feature_field(view, one.name) for one in FEATURES if one.view == view)]


_SERVED_PURCHASES = [feature for feature in PURCHASES if feature.name not in NOT_SERVED]

CUSTOMER_FIELDS: list[bytes] = [
    timestamp_field(CUSTOMER_PROFILE),
    timestamp_field(CUSTOMER_PURCHASES),
    *(feature_field(feature.view, feature.name) for feature in (*_SERVED_PURCHASES, *PROFILE, *ACTIVITY)),
]
"""What one HMGET of a customer asks for; `decode_customer` takes the answer in this order."""

_SCALARS_START = 2 + len(_SERVED_PURCHASES)
_SCALAR_POSITIONS = {
    feature.name: position for position, feature in enumerate((*PROFILE, *ACTIVITY), start=_SCALARS_START)
}


_BROKEN = (ValueError, LookupError, struct.error, DecodeError)


class _Scalars(Mapping[str, Scalar]):
    """The scalar features, each decoded when it is read: a decision looks at few of them."""

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[bytes | None]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Scalar:
        value = self._values[_SCALAR_POSITIONS[name]]
        if not value:
            raise KeyError(name)
        try:
            return _READERS[value[0]](value)
        except _BROKEN as error:
            raise _not_feast(error) from error

    def __iter__(self) -> Iterator[str]:
        return (name for name, position in _SCALAR_POSITIONS.items() if self._values[position])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def decode_customer(values: Sequence[bytes | None]) -> CustomerFeatures | None:
    """The answer to HMGET of CUSTOMER_FIELDS, decoded; None when no batch view holds the customer.

    `as_of_at` is the older time of the two batch views; Feast applies no TTL online: the caller compares it
    with the clock. Null scalars are left out; the live fields are there only once the customer was active.
    Raises ValueError on bytes that are no Feast values, for a broken scalar when it is read. Cost:
    docs/features.md.
    """
    try:
        # Views of one materialization mostly have equal times: a set decodes those once.
        times = [_seconds(value) for value in set(values[:2]) if value is not None]
        if not times:
            return None
        keys, *weights = values[2:_SCALARS_START]
        return CustomerFeatures(min(times), _Scalars(values), _doubles(keys), *map(_floats, weights))
    except _BROKEN as error:
        raise _not_feast(error) from error


def decode_hash(found: Mapping[bytes, bytes]) -> JsonObject:
    """Everything that one hash holds, served or not: values by `view:feature`, times by `view` as unix seconds."""
    times = {view: found.get(timestamp_field(view)) for view in {feature.view for feature in FEATURES}}
    values = {f"{one.view}:{one.name}": found.get(feature_field(one.view, one.name)) for one in FEATURES}
    try:
        decoded: JsonObject = {view: _seconds(value) for view, value in times.items() if value is not None}
        return decoded | {name: _plain(value) for name, value in values.items() if value}
    except _BROKEN as error:
        raise _not_feast(error) from error


def _plain(value: bytes) -> object:
    """A feature as JSON knows it."""
    if value.startswith(b"\x82\x01"):
        return _floats(value).tolist()
    if value.startswith(b"\x7a"):
        return _doubles(value).tolist()
    return _READERS[value[0]](value)


def _not_feast(error: Exception) -> ValueError:
    return ValueError(f"not a Feast row: {error!r}; materialize the features again")


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the position after it."""
    number, shift = value[at] & 0x7F, 7
    while value[at] & 0x80:
        at += 1
        number |= (value[at] & 0x7F) << shift
        shift += 7
    return number, at + 1


def _seconds(value: bytes) -> float:
    """Unix seconds of a google.protobuf.Timestamp (seconds = 1, nanos = 2, zero left out)."""
    seconds = nanos = at = 0
    if value[at : at + 1] == b"\x08":
        seconds, at = _varint(value, at + 1)
    if value[at : at + 1] == b"\x10":
        nanos, at = _varint(value, at + 1)
    return _signed(seconds) + nanos / 1e9


def _signed(number: int) -> int:
    # Protobuf's varints are unsigned: a negative number arrives as its two's complement.
    return number - (1 << 64) if number >> 63 else number


_unpack_double = struct.Struct("<xd").unpack
_unpack_float = struct.Struct("<xf").unpack  # x skips the tag.


def _double(value: bytes) -> float:
    number: float = _unpack_double(value)[0]
    return number


def _float(value: bytes) -> float:
    number: float = _unpack_float(value)[0]
    return number


def _integer(value: bytes) -> float:
    return _signed(_varint(value, 1)[0])


def _string(value: bytes) -> str:
    return value[_varint(value, 1)[1] :].decode()


def _string_tuple(value: bytes) -> tuple[str, ...]:
    return tuple(_strings(value))


# The first byte of a Value is its case: number of the field in feast.types.Value × 8 + wire type.
_READERS: dict[int, Callable[[bytes], Scalar]] = {
    0x12: _string,
    0x20: _integer,
    0x29: _double,
    0x35: _float,
    0x62: _string_tuple,
}


def _string_list_parser() -> Callable[[bytes], object]:
    """Parser of feast.types.StringList: protobuf's C code takes a third of the time of a Python loop."""
    file = descriptor_pb2.FileDescriptorProto(name="endcap/strings.proto", package="endcap", syntax="proto3")
    message = file.message_type.add(name="StringList")
    field = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="val", number=1, type=field.TYPE_STRING, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message_class = message_factory.GetMessageClass(pool.FindMessageTypeByName("endcap.StringList"))
    parse: Callable[[bytes], object] = message_class.FromString
    return parse


_parse_string_list = _string_list_parser()


def _strings(value: bytes | None) -> list[str]:
    """A string_list_val: tag 0x62, length, StringList."""
    if not value:
        return []
    if value[0] != 0x62:
        raise ValueError(f"tag {value[0]:#x} where a string list was expected")
    parsed = _parse_string_list(value[_varint(value, 1)[1] :])
    # The message class is made at run time, so its field is unknown to the type checker.
    strings: list[str] = parsed.val[:]  # type: ignore[attr-defined]
    return strings


_FLOAT, _DOUBLE = np.dtype("<f4"), np.dtype("<f8")


def _floats(value: bytes | None) -> Floats:
    """A float_list_val: tag 0x82 0x01, length, FloatList (tag 0x0a, length, little-endian floats)."""
    # A view into the bytes: nothing is copied, and nobody can write to it.
    return np.frombuffer(value or b"", _FLOAT, offset=_start_of_numbers(value, b"\x82\x01"))


def _doubles(value: bytes | None) -> npt.NDArray[np.float64]:
    """A double_list_val: tag 0x7a, length, DoubleList (tag 0x0a, length, little-endian doubles)."""
    return np.frombuffer(value or b"", _DOUBLE, offset=_start_of_numbers(value, b"\x7a"))


def _start_of_numbers(value: bytes | None, tag: bytes) -> int:
    """Where the numbers of a list begin; its end where it has none."""
    if not value:
        return 0
    if not value.startswith(tag):
        raise ValueError(f"tag {value[0]:#x} where a list of numbers was expected")
    at = len(tag)
    return len(value) if value[at] == 0 else _behind_length(value, _behind_length(value, at) + 1)


def _behind_length(value: bytes, at: int) -> int:
    while value[at] & 0x80:
        at += 1
    return at + 1
