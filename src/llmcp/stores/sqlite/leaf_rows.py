"""Rows as `audit verify` reads them: the record's bytes, and whether the columns beside them say the same.

Rules:
1. Memory does not grow with the log: sums that do not fit are added up in a temporary table.
2. Records of schema 1 name persons where their facets have references: such a facet is right.
3. A place is right where the writer would look for the record: wider spans than needed are no damage.
4. A body that a record names is there, unless it was pruned or lost with its table in a migration, and opens under its name.
5. After pruning, an hour that may have lost records counts at least what is left; a later one exactly that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.ledger import PRUNE_ACTION, Damage, Kind, LeafRow
from llmcp.core.records import MAX_SAFE_INTEGER, NO_BODIES, Bodies, Finding, Rule, WouldBe
from llmcp.stores.sqlite.facets import COLUMNS, row
from llmcp.stores.sqlite.persons import looks_like_reference
from llmcp.stores.sqlite.spans import BLOCK_BITS, SLOT_CHARS
from llmcp.stores.sqlite.usage_rollup import COUNTED, hour_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from llmcp.core.ledger import Pruned

    type CheckBody = Callable[[str, bytes], bool]
    """Tells whether what is sealed opens under its name."""

_USER: Final = COLUMNS.index("user")
_CELLS: Final = 50_000
_FACETS: Final = 50_000
_SUMS: Final = f"""CREATE TEMP TABLE sums (
   hour INTEGER, facet INTEGER, first INTEGER, last INTEGER, {", ".join(f"{name} INTEGER" for name in COUNTED)},
   PRIMARY KEY (hour, facet)
) WITHOUT ROWID"""
_SUM: Final = ", ".join(f"{name} = min({name} + excluded.{name}, {MAX_SAFE_INTEGER})" for name in COUNTED)
_ADD: Final = (
    f"INSERT INTO sums VALUES ({','.join('?' * (4 + len(COUNTED)))}) ON CONFLICT DO UPDATE SET last = excluded.last, {_SUM}"  # noqa: S608
)
_SPAN: Final = "SELECT first, last FROM record_spans WHERE slot = ?"
_SESSION: Final = "SELECT 1 FROM record_sessions WHERE block = ? AND session = ? AND seq = ?"
_BODIES_SINCE: Final = f"""SELECT max(coalesce((SELECT max(CASE json_valid(CAST(record AS TEXT)) WHEN 1 THEN
      json_extract(CAST(record AS TEXT), '$.detail.before') END) FROM control_records WHERE action = '{PRUNE_ACTION}'
      AND instr(record, CAST('"mode":"bodies"' AS BLOB))), ''),
   coalesce((SELECT max(time) FROM control_records WHERE action = 'store.migrate'), ''))"""  # noqa: S608 - a constant
"""From when on a kept body must be there."""
_FACET: Final = f"SELECT {', '.join(f'[{name}]' for name in COLUMNS)} FROM facets WHERE id = ?"  # noqa: S608 - names of columns


class _GenAi(msgspec.Struct):
    provider: str
    request_model: str
    response_model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


class _Said(msgspec.Struct):
    """What a decision record says of everything that stands beside it. Read as `DecisionRecord` is, by `facets.row`."""

    seq: int
    id: str
    time: str
    stream: str
    org: str
    app: str
    user: str
    key_id: str
    operation: str
    outcome: str
    gen_ai: _GenAi
    rules: tuple[Rule, ...]
    would_be: WouldBe
    findings: tuple[Finding, ...]
    labels: dict[str, str]
    cost_microusd: int
    session: str = ""
    bodies: Bodies = NO_BODIES


class _SaidControl(msgspec.Struct):
    seq: int
    id: str
    time: str
    stream: str
    org: str
    action: str


class decision_rows:  # noqa: N801 - called like the function beside it
    """The decision stream: columns, facets and usage."""

    def __init__(self, connection: sqlite3.Connection, check_body: CheckBody | None = None) -> None:
        self._connection = connection
        self._check_body = check_body
        self._bodies_since: str | None = None
        self._slot: tuple[str, Any, Any] = ("", 0, 0)
        self._decode = msgspec.json.Decoder(_Said).decode
        self._facet = lru_cache(_FACETS)(self._read_facet)
        self._cells: dict[tuple[int, int], list[int]] = {}

    def rows(self) -> Iterator[LeafRow]:
        """Yield the records in the order of their numbers."""
        decode, checked = self._decode, self._wrong
        for seq, record_id, time, facet, data in self._connection.execute(
            "SELECT seq, id, time, facet, coalesce(CAST(record AS BLOB), x'') FROM records ORDER BY seq"
        ):
            try:
                said = decode(data)
            except (msgspec.DecodeError, TypeError):
                yield LeafRow(seq, data, ("record",))
                continue
            if said.seq == seq and said.id == record_id and said.time == time and said.stream == "decision":
                wrong = checked(said, facet)
            else:
                pairs = (
                    ("seq", said.seq, seq),
                    ("id", said.id, record_id),
                    ("time", said.time, time),
                    ("stream", said.stream, "decision"),
                )
                wrong = (*(name for name, ours, theirs in pairs if ours != theirs), *checked(said, facet))
            if not self._in_place(said, seq):
                wrong = (*wrong, "place")
            if said.bodies != NO_BODIES:
                wrong = (*wrong, *self._bodies(said))
            self._count(said, seq, facet)
            yield LeafRow(seq, data, wrong)

    def rollups(self, pruned: Pruned | None) -> Iterator[Damage]:
        """Yield the hours and facets whose usage is not the records' sum."""
        self._spill()
        differs = " OR ".join(f"coalesce(s.{name}, 0) <> coalesce(u.{name}, 0)" for name in COUNTED)
        above = " OR ".join(f"coalesce(s.{name}, 0) > coalesce(u.{name}, 0)" for name in COUNTED)
        wanted = ", ".join(f"coalesce(s.{name}, 0), coalesce(u.{name}, 0)" for name in COUNTED)
        pairs_of = "usage AS u LEFT JOIN sums AS s ON u.hour = s.hour AND u.facet = s.facet"
        alone = "sums AS s LEFT JOIN usage AS u ON u.hour = s.hour AND u.facet = s.facet WHERE u.hour IS NULL"
        sql = f"""SELECT u.hour, u.facet, coalesce(s.first, 0), coalesce(s.last, 0), {wanted} FROM {pairs_of}
            WHERE {above} OR u.hour > ? AND ({differs})
            UNION ALL SELECT s.hour, s.facet, s.first, s.last, {wanted} FROM {alone} ORDER BY 1, 2"""  # noqa: S608 - names of columns
        for hour, facet, first, last, *values in self._connection.execute(sql, (_hour(pruned.time) if pruned else -1,)):
            pairs = zip(COUNTED, values[::2], values[1::2], strict=True)
            words = ", ".join(f"{name} {there} for {said}" for name, said, there in pairs if said != there)
            when = _worded(hour)
            yield Damage(
                Kind.USAGE_ALTERED, "decision", f"usage of the hour {when}, facet {facet}, is not what its records add up to: {words}",
                first, last,
            )  # fmt: skip
        self._connection.execute("DELETE FROM sums")

    def _wrong(self, said: _Said, facet: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever stands in the column
        expected, found = row(said), self._facet(facet)  # type: ignore[arg-type]
        if expected == found:
            return ()
        if found is None:
            return ("facet",)
        return tuple(
            f"facet.{COLUMNS[at]}"
            for at, (ours, theirs) in enumerate(zip(expected, found, strict=True))
            if ours != theirs
            and not (at == _USER and ours and not looks_like_reference(ours) and looks_like_reference(str(theirs)))
        )

    def _read_facet(self, facet: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever stands in the column
        found: tuple[str, ...] | None = self._connection.execute(_FACET, (facet,)).fetchone()
        return found

    def _in_place(self, said: _Said, seq: int) -> bool:
        """Tell whether queries find the record by its time and by its session."""
        name = said.time[:SLOT_CHARS]
        if name != self._slot[0]:
            self._slot = (name, *(self._connection.execute(_SPAN, (name,)).fetchone() or (None, None)))
        _, first, last = self._slot
        if not isinstance(first, int) or not isinstance(last, int) or not first <= seq <= last:
            return False
        return not said.session or bool(self._connection.execute(_SESSION, (seq >> BLOCK_BITS, said.session, seq)).fetchone())

    def _bodies(self, said: _Said) -> Iterator[str]:
        if self._bodies_since is None:
            (self._bodies_since,) = self._connection.execute(_BODIES_SINCE).fetchone()
        for ref in (said.bodies.request, said.bodies.response):
            if not ref:
                continue
            found = self._connection.execute("SELECT CAST(sealed AS BLOB) FROM bodies WHERE ref = ?", (ref,)).fetchone()
            if found is None:
                if said.time >= str(self._bodies_since):
                    yield "body.missing"
            elif self._check_body is not None and not self._check_body(ref, found[0] or b""):
                yield "body.altered"

    def _count(self, said: _Said, seq: int, facet: int) -> None:
        key = (_hour(said.time), facet if isinstance(facet, int) else -1)
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= _CELLS:
                self._spill()
            self._cells[key] = cell = [seq, seq, 0, 0, 0, 0, 0, 0, 0]
        gen_ai = said.gen_ai
        cell[1] = seq
        cell[2] += 1
        cell[3] += gen_ai.input_tokens
        cell[4] += gen_ai.output_tokens
        cell[5] += gen_ai.cached_tokens
        cell[6] += gen_ai.cache_write_tokens
        cell[7] += gen_ai.reasoning_tokens
        cell[8] += said.cost_microusd

    def _spill(self) -> None:
        if not self._connection.execute("SELECT 1 FROM sqlite_temp_schema WHERE name = 'sums'").fetchone():
            self._connection.execute(_SUMS)
        rows = ((*key, *[min(number, MAX_SAFE_INTEGER) for number in cell]) for key, cell in self._cells.items())
        self._connection.executemany(_ADD, rows)
        self._cells.clear()


class control_rows:  # noqa: N801 - called like the function beside it
    """The control stream: columns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._decode = msgspec.json.Decoder(_SaidControl).decode

    def rows(self) -> Iterator[LeafRow]:
        """Yield the records in the order of their numbers."""
        sql = "SELECT seq, id, time, org, action, coalesce(CAST(record AS BLOB), x'') FROM control_records ORDER BY seq"
        for seq, record_id, time, org, action, data in self._connection.execute(sql):
            try:
                said = self._decode(data)
            except (msgspec.DecodeError, TypeError):
                yield LeafRow(seq, data, ("record",))
                continue
            pairs = (
                ("seq", said.seq, seq), ("id", said.id, record_id), ("time", said.time, time), ("stream", said.stream, "control"),
                ("org", said.org, org), ("action", said.action, action),
            )  # fmt: skip
            yield LeafRow(seq, data, tuple(name for name, ours, theirs in pairs if ours != theirs))

    def rollups(self, pruned: Pruned | None) -> Iterator[Damage]:  # noqa: ARG002 - the decision stream's
        """Yield nothing: nothing is summed here."""
        yield from ()


def _worded(hour: object) -> str:
    try:
        return datetime.fromtimestamp(hour * 3600, UTC).isoformat()[:13] if isinstance(hour, int) else str(hour)
    except (OverflowError, ValueError, OSError):
        return str(hour)


def _hour(time: str) -> int:
    try:
        return hour_of(time[:13])
    except ValueError:
        return -1
