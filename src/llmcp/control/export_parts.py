"""What the forms of an export share: reading a record's document without trusting that every key is there.

Rules:
1. A record of an older or newer version is exported too: what it lacks is the neutral value, what it has besides is kept.
2. Values are strings, integers, booleans, lists and objects of these, as in every record.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def rules_at(record: Record) -> list[dict[str, Any]]:
    """Return the rules that acted."""
    return [rule for rule in items_at(record, "rules") if isinstance(rule, dict)]


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


type Paths = Mapping[str, Paths]


def paths(*dotted: str) -> Paths:
    """Return a tree of paths; what is empty is a path's end."""
    tree: dict[str, Any] = {}
    for path in dotted:
        inner = tree
        for name in path.split("."):
            inner = inner.setdefault(name, {})
    return tree


def without(record: Record, mapped: Paths) -> dict[str, Any]:
    """Return what a mapping has not used: the record without the paths in `mapped`, and without neutral values."""
    left: dict[str, Any] = {}
    for name, item in record.items():
        inner = mapped.get(name)
        if inner is not None and not inner:
            continue
        value = without(item, inner or _NO_PATHS) if isinstance(item, dict) else item
        if value:
            left[name] = value
    return left


_NO_PATHS: Final[Paths] = {}


def pruned(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its neutral values (empty texts, zeros, no, empty lists and objects), all the way down."""
    return without(value, _NO_PATHS)
