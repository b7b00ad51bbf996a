"""Bringing checkpoints to places outside of the store, and holding the store against what they keep.

Rules:
1. Every checkpoint goes to every anchor once, in order; what could not be brought is brought later.
2. How far an anchor is stands beside the log, so that a new anchor gets all checkpoints and an old one no copies.
3. A note in an anchor counts only where one of the log's keys signed it. Then the tree must still begin with what it says: a store
   that was rolled back, cut or rewritten as a whole is found by this alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from llmcp.control.ledger import origin_of, signed_by
from llmcp.core import merkle
from llmcp.core.ledger import STREAMS, BrokenTreeError, Damage, Kind
from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from llmcp.control.ledger_chain import Trust
    from llmcp.core.ledger import DamageList
    from llmcp.core.signed_note import CheckpointText
    from llmcp.ports.ledger import Anchor, Ledger, LedgerView

_AT_ONCE: Final = 256


def deliver(ledger: Ledger, anchor: Anchor) -> int:
    """Bring what an anchor does not have yet (a bounded part of it); return how many notes went. Raises: UnreachableError."""
    sent = 0
    for stream in STREAMS:
        name = f"ledger.anchored.{hashlib.sha256(anchor.name.encode()).hexdigest()[:16]}.{stream}"
        reached = int(ledger.value(name) or 0)
        with ledger.view(stream) as view:
            waiting = [found for found, _ in zip(view.checkpoints(reached), range(_AT_ONCE), strict=False)]
        for checkpoint in waiting:
            anchor.append(checkpoint.note)
            ledger.keep(name, str(checkpoint.size))
            sent += 1
    return sent


def verify_anchor(ledger: Ledger, anchor: Anchor, trust: Trust, damages: DamageList) -> int:
    """Hold the store against an anchor; return how many of its notes could be compared."""
    compared = 0
    try:
        notes = list(anchor.notes())
    except LlmcpError as error:
        damages.add(Damage(Kind.ANCHOR_UNREADABLE, "", f"{anchor.name}: {error.why or error.what}"))
        return 0
    said = [found for note in notes if (found := signed_by(note, trust.keys, trust.verify))]
    foreign = len(notes) - len(said)
    if foreign:
        damages.add(
            Damage(Kind.ANCHOR_CONFLICT, "", f"{anchor.name}: {foreign} of {len(notes)} notes are not signed by the log's key")
        )
    for stream in STREAMS:
        with ledger.view(stream) as view:
            for checkpoint in (found for found in said if found.origin == origin_of(trust.origin, stream)):
                compared += _compare(view, checkpoint, anchor.name, damages)
    return compared


def _compare(view: LedgerView, said: CheckpointText, name: str, damages: DamageList) -> int:
    size = view.size()
    if said.size > size:
        words = f"{name} has a checkpoint over {said.size} records, {size} are left: the log was cut or rolled back"
        damages.add(Damage(Kind.TRUNCATED, view.stream, words, size + 1, said.size, said.size))
        return 1
    root = _root(view, said.size)
    if root is None:
        return 0
    if root != said.root:
        words = f"the first {said.size} records are not those that {name} has the checkpoint of"
        damages.add(Damage(Kind.ANCHOR_CONFLICT, view.stream, words, 1, said.size, said.size))
    elif getattr(next(view.checkpoints(said.size - 1), None), "size", 0) != said.size:
        words = f"{name} has it, the store has lost it"
        damages.add(Damage(Kind.CHECKPOINT_CHAIN, view.stream, words, checkpoint=said.size))
    return 1


def _root(view: LedgerView, size: int) -> bytes | None:
    """Return the root at `size`: by the tree, or where its hashes were pruned, by the checkpoint that was kept."""
    try:
        return merkle.root_at(size, view.hash_at)
    except BrokenTreeError:
        found = next(view.checkpoints(size - 1), None)
        return found.root if found is not None and found.size == size else None
