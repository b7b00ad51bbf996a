"""The ledger's values: checkpoints, what was pruned, proofs that stand alone, and what can be wrong with a log.

Rules:
1. A record's number is its `seq` (from 1); a leaf's index is one less.
2. A damage has a kind from a closed list and names records by number, a checkpoint by its size, a tile by level and number.
3. A proof file holds all that is needed to check it, except the trust in its key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from llmcp.core.merkle import HASH_BYTES
from llmcp.errors import LlmcpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMS: Final = ("decision", "control")
PRUNE_ACTION: Final = "audit.prune"
_LONGEST_PROOF: Final = 64
"""A tree of 2^64 leaves needs no more hashes."""
_TURNS: Final = 12
PROOF_TYPE: Final = "llmcp.dev/ledger/inclusion-proof/v1"


class BrokenTreeError(LlmcpError):
    """A hash that a proof needs is not there: it was pruned, or somebody took it."""

    exit_code = 1
    default_code = "broken-tree"


class DamagedLedgerError(LlmcpError):
    """The log is not the one that was signed before: nothing is signed over it."""

    exit_code = 1
    default_code = "ledger-damaged"


class Kind(StrEnum):
    """What can be wrong with a log."""

    RECORD_ALTERED = "record-altered"
    RECORD_MISSING = "record-missing"
    RECORD_UNEXPECTED = "record-unexpected"
    COLUMN_ALTERED = "column-altered"
    USAGE_ALTERED = "usage-altered"
    TILE_ALTERED = "tile-altered"
    TILE_MISSING = "tile-missing"
    TILE_UNEXPECTED = "tile-unexpected"
    RANGE_ALTERED = "range-altered"
    CHECKPOINT_ALTERED = "checkpoint-altered"
    CHECKPOINT_SIGNATURE = "checkpoint-signature"
    CHECKPOINT_KEY = "checkpoint-key"
    CHECKPOINT_CHAIN = "checkpoint-chain"
    TRUNCATED = "log-truncated"
    PRUNING_ALTERED = "pruning-altered"
    ANCHOR_CONFLICT = "anchor-conflict"
    ANCHOR_UNREADABLE = "anchor-unreadable"
    KEY_CHANGED = "key-changed"
    PERSON_ALTERED = "person-altered"
    BODY_ALTERED = "body-altered"
    SCHEMA_ALTERED = "schema-altered"
    DISCONNECTED = "records-without-leaves"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong. `first` and `last` are records, `checkpoint` a size, `tile` level and number; 0 and "" where none."""

    kind: Kind
    stream: str
    words: str
    first: int = 0
    last: int = 0
    checkpoint: int = 0
    tile: str = ""

    @property
    def place(self) -> str:
        """Return where it is, for a person."""
        parts = [self.stream] if self.stream else []
        if self.first:
            parts.append(f"record {self.first}" if self.last in {0, self.first} else f"records {self.first} to {self.last}")
        if self.checkpoint:
            parts.append(f"checkpoint {self.checkpoint}")
        if self.tile:
            parts.append(f"tile {self.tile}")
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """Return the damage as a plain document."""
        return {
            "kind": self.kind.value, "stream": self.stream, "first": self.first, "last": self.last or self.first,
            "checkpoint": self.checkpoint, "tile": self.tile, "place": self.place, "message": self.words,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed state of a stream. `proof` shows that it grew out of the checkpoint of `previous` leaves (0: the first one)."""

    stream: str
    size: int
    root: bytes
    time: str
    note: str
    previous: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken away on purpose: records 1 to `size`, the newest of them of `time`; `frontier` stands for their leaves."""

    size: int
    frontier: bytes
    time: str

    @property
    def evidence(self) -> dict[str, str]:
        """Return what the control record of a pruning says of it."""
        return {"size": str(self.size), "frontier": hashlib.sha256(self.frontier).hexdigest(), "newest": self.time}


@dataclass(frozen=True, slots=True)
class LeafRow:
    """A record as it is stored: its number, its bytes, and the columns beside it that do not say what the bytes say."""

    seq: int
    data: bytes
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Shows that a record stands in a signed log; needs no store to be checked."""

    leaf: bytes
    seq: int
    size: int
    proof: tuple[bytes, ...]
    note: str
    vkey: str

    def document(self) -> dict[str, Any]:
        """Return the proof as a JSON document."""
        return {
            "type": PROOF_TYPE,
            "seq": self.seq,
            "index": self.seq - 1,
            "size": self.size,
            "leaf": _text(self.leaf),
            "proof": [_text(part) for part in self.proof],
            "checkpoint": self.note,
            "vkey": self.vkey,
        }


def read_inclusion_proof(document: object) -> InclusionProof:
    """Read what `InclusionProof.document` wrote. Raises: UsageError where it is something else."""
    try:
        if not isinstance(document, dict) or document["type"] != PROOF_TYPE:
            raise _no_proof("its type is another")
        seq = _number(document["seq"])
        if not isinstance(document["proof"], list) or len(document["proof"]) > _LONGEST_PROOF:
            raise _no_proof("its hashes are no list of a proof")
        found = InclusionProof(
            leaf=_bytes(document["leaf"]),
            seq=_number(document["index"]) + 1,
            size=_number(document["size"]),
            proof=tuple(_bytes(part) for part in document["proof"]),
            note=_plain(document["checkpoint"]),
            vkey=_plain(document["vkey"]),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _no_proof(f"{type(error).__name__} while reading it") from error
    if found.seq != seq or any(len(part) != HASH_BYTES for part in found.proof):
        raise _no_proof("its parts contradict each other")
    return found


def _no_proof(why: str) -> UsageError:
    return UsageError(
        "this file is no inclusion proof", why=why, fix="make one with `llmcp audit prove ID --out FILE`", code="bad-proof"
    )


def split_hashes(joined: bytes) -> tuple[bytes, ...]:
    """Return the hashes that stand joined in a store."""
    return tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))


class DamageList:
    """Gathers damages: neighbouring records with the same words become one range, and past `most` they are only counted."""

    def __init__(self, most: int = 1000) -> None:
        self.count = 0
        self._most = most
        self._kept: list[Damage] = []

    def add(self, damage: Damage) -> None:
        """Add one."""
        self.count += 1
        # Several findings about each record may take turns: look past the others.
        for at in range(len(self._kept) - 1, max(-1, len(self._kept) - 1 - _TURNS), -1):
            old = self._kept[at]
            if (old.kind, old.stream, old.words) == (damage.kind, damage.stream, damage.words) and _follows(old, damage):
                self._kept[at] = Damage(old.kind, old.stream, old.words, old.first, damage.last or damage.first)
                return
        if len(self._kept) < self._most:
            self._kept.append(damage)

    def extend(self, damages: Sequence[Damage]) -> None:
        """Add many."""
        for damage in damages:
            self.add(damage)

    def found(self) -> tuple[Damage, ...]:
        """Return what was found."""
        return tuple(self._kept)


def _follows(old: Damage, new: Damage) -> bool:
    plain = not (old.checkpoint or old.tile or new.checkpoint or new.tile)
    return plain and old.first > 0 and new.first == (old.last or old.first) + 1


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    return base64.b64decode(text, validate=True) if isinstance(text, str) else _wrong(text)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else _wrong(value)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else _wrong(value)


def _wrong(value: object) -> Any:  # noqa: ANN401 - never returns
    msg = f"unexpected {type(value).__name__}"
    raise ValueError(msg)
