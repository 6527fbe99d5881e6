"""Values of Kafka Connect's JSON converter, as its schema explains them: dates, instants, decimals, nested JSON as texts and trees.

Semantic types are those of Debezium ("Data type mappings" of its PostgreSQL connector) and of Kafka Connect
(org.apache.kafka.connect.data). A time without zone stays one: the mapping says which zone it is of.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

UNAVAILABLE = "__debezium_unavailable_value"
"""Debezium's word for a column that PostgreSQL did not tell: it is large, and the change left it as it was."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_ONE = _EPOCH.toordinal()
_BYTES = list(UNAVAILABLE.encode())
_FORMS = frozenset({UNAVAILABLE, "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", UNAVAILABLE.encode().hex()})
"""As text, and as bytes in base64 and in hexadecimal."""

_MOST_DIGITS = 400


class Unreadable(Exception):
    """A value that is not told, or that cannot be; holds a stable reason only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decoded(value: Any, schema: Any) -> Any:
    """The value as a mapping reads it; `schema` is the converter's, or None where it writes none.

    Raises `Unreadable`: COLUMN_UNCHANGED, DATE_INVALID, NUMBER_INVALID, JSON_MALFORMED, VALUE_INVALID.
    """
    if untold(value):
        raise Unreadable("COLUMN_UNCHANGED")
    if not isinstance(schema, Mapping) or value is None:
        return value
    convert = _TYPES.get(str(schema.get("name")))
    if convert is not None:
        return _converted(convert, value, schema)
    if isinstance(value, list):
        items = schema.get("items")
        return [decoded(each, items) for each in value]
    if isinstance(value, dict) and schema.get("type") == "struct":
        fields = fields_of(schema)
        return {name: decoded(each, fields.get(name)) for name, each in value.items()}
    return value


def untold(value: Any) -> bool:
    """Whether a value is Debezium's word for one that it does not know, in any of the forms that columns give it."""
    if isinstance(value, str):
        return value in _FORMS
    if isinstance(value, list):
        return value == _BYTES or any(isinstance(each, str) and each in _FORMS for each in value)
    return isinstance(value, dict) and UNAVAILABLE in value


def fields_of(schema: Any) -> dict[str, Any]:
    """Schemas of a struct's fields by name."""
    stated = schema.get("fields") if isinstance(schema, Mapping) else None
    found = stated if isinstance(stated, list) else []
    return {str(each.get("field")): each for each in found if isinstance(each, Mapping)}


def _converted(convert: Callable[[Any, Mapping[str, Any]], Any], value: Any, schema: Mapping[str, Any]) -> Any:
    try:
        return convert(value, schema)
    except (TypeError, ValueError, KeyError, OverflowError, InvalidOperation, RecursionError):
        pass
    raise Unreadable("VALUE_INVALID")


def _day(value: Any, _schema: Mapping[str, Any]) -> str:
    try:
        return date.fromordinal(_DAY_ONE + _whole(value)).isoformat()
    except (ValueError, OverflowError):
        pass
    raise Unreadable("DATE_INVALID")


def _moment(per_second: int) -> Callable[[Any, Mapping[str, Any]], str]:
    """Of a count since 1970: date and time without a zone."""

    def convert(value: Any, _schema: Mapping[str, Any]) -> str:
        seconds, rest = divmod(_whole(value), per_second)
        try:
            at = _EPOCH + timedelta(seconds=seconds, microseconds=rest * 1_000_000 // per_second)
        except OverflowError:
            at = None
        if at is None:
            raise Unreadable("DATE_INVALID")
        return at.replace(tzinfo=None).isoformat()

    return convert


def _clock(per_second: int) -> Callable[[Any, Mapping[str, Any]], str]:
    """Of a count since midnight: a time."""

    def convert(value: Any, _schema: Mapping[str, Any]) -> str:
        return _moment(per_second)(_whole(value), {}).partition("T")[2]

    return convert


def _iso_without_zone(value: Any, _schema: Mapping[str, Any]) -> str:
    """Debezium's ISO text of a time without zone has a Z that nobody stated."""
    return str(value).removesuffix("Z")


def _decimal(value: Any, schema: Mapping[str, Any]) -> str:
    return _scaled(value, int(schema["parameters"]["scale"]))


def _variable(value: Any, _schema: Mapping[str, Any]) -> str:
    return _scaled(value["value"], int(value["scale"]))


def _scaled(value: Any, scale: int) -> str:
    """Plain decimal notation of an unscaled integer, two's complement in base64."""
    if not isinstance(value, str) or len(value) > _MOST_DIGITS or abs(scale) > _MOST_DIGITS:
        raise Unreadable("NUMBER_INVALID")
    number = int.from_bytes(b64decode(value, validate=True), signed=True)
    return f"{Decimal(number).scaleb(-scale, Context(prec=2 * _MOST_DIGITS)):f}"


def _tree(value: Any, _schema: Mapping[str, Any]) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    raise Unreadable("JSON_MALFORMED")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a count")
    return value


_MILLI, _MICRO, _NANO = 1000, 1_000_000, 1_000_000_000
_TYPES: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "io.debezium.time.Date": _day,
        "io.debezium.time.Timestamp": _moment(_MILLI),
        "io.debezium.time.MicroTimestamp": _moment(_MICRO),
        "io.debezium.time.NanoTimestamp": _moment(_NANO),
        "io.debezium.time.Time": _clock(_MILLI),
        "io.debezium.time.MicroTime": _clock(_MICRO),
        "io.debezium.time.NanoTime": _clock(_NANO),
        "io.debezium.time.IsoTimestamp": _iso_without_zone,
        "io.debezium.time.IsoDate": _iso_without_zone,
        "org.apache.kafka.connect.data.Date": _day,
        "org.apache.kafka.connect.data.Timestamp": _moment(_MILLI),
        "org.apache.kafka.connect.data.Time": _clock(_MILLI),
        "org.apache.kafka.connect.data.Decimal": _decimal,
        "io.debezium.data.VariableScaleDecimal": _variable,
        "io.debezium.data.Json": _tree,
    }
)
"""By the schema's `name`; what is not here is read as it stands: texts, numbers, ZonedTimestamp, Uuid, Enum."""
