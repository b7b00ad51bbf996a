"""What the forms of an export share: reading a record's document without trusting that every key is there.

Rules:
1. A record of an older or newer version is exported too: what it lacks is the neutral value, what it has besides is kept.
2. Values are strings, integers, booleans, lists and objects of these, as in every record.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

type Record = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def text_at(record: Record, *path: str) -> str:
    """Return the text at `path`, '' where there is none."""
    value = at(record, *path)
    return value if isinstance(value, str) else ""


def number_at(record: Record, *path: str) -> int:
    """Return the integer at `path`, 0 where there is none."""
    value = at(record, *path)
    return value if isinstance(value, int) else 0


def items_at(record: Record, *path: str) -> list[Any]:
    """Return the list at `path`, an empty one where there is none."""
    value = at(record, *path)
    return value if isinstance(value, list) else []


def map_at(record: Record, *path: str) -> dict[str, Any]:
    """Return the object at `path`, an empty one where there is none."""
    value = at(record, *path)
    return value if isinstance(value, dict) else {}


def at(record: Record, *path: str) -> Any:  # noqa: ANN401 - a record's value
    """Return what stands at `path`, None where there is nothing."""
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def moment(record: Record) -> datetime:
    """Return the record's time; the epoch where it has none that can be read."""
    try:
        return datetime.fromisoformat(text_at(record, "time")).astimezone(UTC)
    except (ValueError, OverflowError):
        return _EPOCH


def microseconds(record: Record) -> int:
    """Return the record's time in whole microseconds since the epoch."""
    return (moment(record) - _EPOCH) // _MICROSECOND


def without(record: Record, mapped: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Return what a mapping has not used: the record without the paths in `mapped`, and without neutral values."""
    left = _copy(record)
    for path in mapped:
        inner: Any = left
        for name in path[:-1]:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path[-1], None)
    return pruned(left)


def pruned(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its neutral values (empty texts, zeros, no, empty lists and objects), all the way down."""
    kept = ((name, pruned(item) if isinstance(item, dict) else item) for name, item in value.items())
    return {name: item for name, item in kept if item}


def _copy(value: Any) -> Any:  # noqa: ANN401
    return {name: _copy(item) for name, item in value.items()} if isinstance(value, dict) else value
