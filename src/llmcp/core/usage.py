"""Who used how much: what `llmcp usage` may be asked, and how single sums become its rows.

Rules:
1. A row's sums are exactly those of the records that the filter lets pass; money is integer micro-USD.
2. `hour`, `day` and `month` are UTC: `2026-01-31T12`, `2026-01-31`, `2026-01`. `model` is the model as it was asked for.
3. `label` alone has one row for each `key=value`, so a request with two labels stands in two rows; `label:KEY` has one row for
   each value of that label. What has no such label is the row with the empty text.
4. Rows come in the order of time where time is asked for, else the dearest first; then by their names.
5. Only what is the same for a whole group of requests can be filtered by: a session or a single decision cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from llmcp.core.record_filter import RecordFilter
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TIMES: Final = {"month": 7, "day": 10, "hour": 13}
_COLUMNS: Final = {
    "model": "request_model",
    "response_model": "response_model",
    "org": "org",
    "app": "app",
    "user": "user",
    "key": "key_id",
    "provider": "provider",
    "operation": "operation",
    "outcome": "outcome",
}
DIMENSIONS: Final = (*_COLUMNS, *_TIMES, "label")
MEASURES: Final = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost_microusd",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The sums of a row, in the order of the contract; what it does not name comes last."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What a group of requests has in common. `labels` are `key=value`."""

    org: str = ""
    app: str = ""
    user: str = ""
    key_id: str = ""
    provider: str = ""
    operation: str = ""
    request_model: str = ""
    response_model: str = ""
    outcome: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """One question. `by` are checked dimensions; of `wanted` the bounds and what rule 5 allows are heard. Raises: UsageError."""

    by: tuple[str, ...]
    wanted: RecordFilter = field(default_factory=RecordFilter)

    def __post_init__(self) -> None:
        """Refuse what rule 5 says."""
        for name in ("session", "decision_id", "actor", "target", "action"):
            if getattr(self.wanted, name):
                raise UsageError(
                    f"usage cannot be asked for one {name.replace('_', ' ')}",
                    why="it is summed by hour and by what requests have in common",
                    fix="look at the records with `llmcp audit query`",
                    code="bad-usage-filter",
                )


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One row: the values of the dimensions asked for, and the sums in the order of `MEASURES`."""

    keys: tuple[str, ...]
    sums: tuple[int, ...]

    def document(self, by: Sequence[str]) -> dict[str, Any]:
        """Return the row as the contract words it."""
        return dict(zip(by, self.keys, strict=True)) | dict(zip(MEASURES, self.sums, strict=True))


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """The rows, and the bounds they really have. `rounded` says that records at a bound are gone, so whole hours were taken."""

    rows: tuple[UsageRow, ...]
    since: str = ""
    until: str = ""
    rounded: bool = False


def parse_by(text: str) -> tuple[str, ...]:
    """Return the dimensions that `model,org,label:team` names. Raises: UsageError."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in DIMENSIONS and not (name.startswith("label:") and len(name) > len("label:")):
            raise UsageError(
                f"usage has no dimension `{name[:64]}`",
                why=f"there are {', '.join(DIMENSIONS)} and label:KEY",
                fix="for example `--by model,org`",
                code="bad-dimension",
            )
    if not names:
        raise UsageError(
            "nothing to group by", why=f"there are {', '.join(DIMENSIONS)}", fix="for example `--by model`", code="bad-dimension"
        )
    return names


def is_time(dimension: str) -> bool:
    """Tell whether a dimension is a span of time."""
    return dimension in _TIMES


class UsageSums:
    """Collects sums into rows."""

    def __init__(self, by: Sequence[str]) -> None:
        self.by = tuple(by)
        self.span = max((_TIMES[name] for name in self.by if name in _TIMES), default=0)
        """How many characters of a time the rows tell apart; 0 where time does not matter."""
        self._times = [(index, _TIMES[name]) for index, name in enumerate(self.by) if name in _TIMES]
        self._rows: dict[tuple[str, ...], list[int]] = {}

    def names(self, facet: Facet) -> list[tuple[str, ...]]:
        """Return the keys of the rows that requests of `facet` belong to, with nothing in the place of times."""
        return [*product(*(_values(name, facet) for name in self.by))]

    def add(self, names: tuple[str, ...], time: str, sums: Iterable[int]) -> None:
        """Add to the row `names` what was used in the hour (or at the time) `time`; `sums` in the order of `MEASURES`."""
        if self._times:
            keys = list(names)
            for index, length in self._times:
                keys[index] = time[:length]
            names = tuple(keys)
        row = self._rows.setdefault(names, [0] * len(MEASURES))
        for index, value in enumerate(sums):
            row[index] += value

    def rows(self) -> tuple[UsageRow, ...]:
        """Return the rows so far, in the order of rule 4."""
        times = [index for index, _ in self._times]
        cost, requests = MEASURES.index("cost_microusd"), MEASURES.index("requests")

        def order(row: UsageRow) -> tuple[Any, ...]:
            return (*(row.keys[index] for index in times), -row.sums[cost], -row.sums[requests], row.keys)

        return tuple(sorted((UsageRow(keys, tuple(sums)) for keys, sums in self._rows.items()), key=order))


def _values(name: str, facet: Facet) -> tuple[str, ...]:
    if name in _TIMES:
        return ("",)
    if name == "label":
        return facet.labels or ("",)
    if name.startswith("label:"):
        prefix = f"{name.removeprefix('label:')}="
        return (next((label.removeprefix(prefix) for label in facet.labels if label.startswith(prefix)), ""),)
    return (getattr(facet, _COLUMNS[name]),)
