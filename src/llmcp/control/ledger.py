"""The use cases behind `audit checkpoint`, `prove`, `verify-proof` and `consistency`.

Rules:
1. A checkpoint is signed only when the last one is ours, still says what it said, and a proof from it to the tree of now was made
   from tiles and checked. The proof is kept with the new one.
2. Nothing is signed over a log that lost leaves, that has records without leaves, or whose last checkpoint is gone.
3. A stream's origin is `ORIGIN/STREAM`; the key's name is `ORIGIN`, so that one key serves both.
4. A proof stands for itself: whoever checks it needs no store, and is told that trust in the key is his own to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmcp.core import merkle, signed_note
from llmcp.core.ledger import BrokenTreeError, Checkpoint, DamagedLedgerError, InclusionProof
from llmcp.core.signed_note import CheckpointText, NoteError, VerifierKey
from llmcp.errors import NegativeResultError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmcp.core.signed_note import Verify
    from llmcp.ports.ledger import Ledger, LedgerView, Signer

_KEYS_TYPE: Final = "llmcp.dev/ledger/keys/v1"


@dataclass(frozen=True, slots=True)
class Notary:
    """Signs and recognises checkpoints of one log. `known` are all keys it ever had; none: its own alone."""

    signer: Signer
    key: VerifierKey
    verify: Verify
    known: tuple[VerifierKey, ...] = ()

    def sign(self, stream: str, size: int, root: bytes) -> str:
        """Return the signed note."""
        return signed_note.seal(CheckpointText(origin_of(self.key.name, stream), size, root).text, self.key, self.signer.sign)

    def recognises(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a stored checkpoint is ours, and is what was signed."""
        said = signed_by(checkpoint.note, self.known or (self.key,), self.verify)
        return said == CheckpointText(origin_of(self.key.name, checkpoint.stream), checkpoint.size, checkpoint.root)


def signed_by(note: str, keys: Sequence[VerifierKey], verify: Verify) -> CheckpointText | None:
    """Return what one of `keys` signed, None where none did."""
    for key in keys:
        try:
            return signed_note.parse_checkpoint(signed_note.open_note(note, key, verify))
        except NoteError:
            continue
    return None


def origin_of(name: str, stream: str) -> str:
    """Return the origin line of a stream's checkpoints."""
    return f"{name}/{stream}"


def sign_checkpoint(ledger: Ledger, stream: str, notary: Notary, time: str, signed_before: int = 0) -> Checkpoint | None:
    """Sign the stream as it is now and keep the checkpoint; None where nothing was added since the last.

    `signed_before` is the size of a checkpoint that the caller knows to have been kept. Raises: DamagedLedgerError,
    BrokenTreeError; ConflictError where another process signed meanwhile.
    """
    with ledger.view(stream) as view:
        new = _next(view, notary, time, signed_before)
    if new is not None:
        ledger.add_checkpoint(new)
    return new


def _next(view: LedgerView, notary: Notary, time: str, signed_before: int) -> Checkpoint | None:
    if why := view.damage():
        raise _damaged(view.stream, why)
    size, last = view.size(), view.last_checkpoint()
    old_size, old_root = (last.size, last.root) if last else (0, merkle.EMPTY_ROOT)
    if old_size < signed_before:
        raise _damaged(view.stream, f"the checkpoint over {signed_before} records is gone")
    if last is not None and not notary.recognises(last):
        raise _damaged(view.stream, f"the checkpoint over {last.size} records is not the one that this key signed")
    if size < old_size:
        raise _damaged(view.stream, f"{old_size} records were signed, {size} are left")
    root = merkle.root_at(size, view.hash_at)
    proof = merkle.consistency_proof(old_size, size, view.hash_at)
    if not merkle.verify_consistency(old_size, size, proof, old_root, root):
        raise _damaged(view.stream, f"the first {old_size} records are not those that were signed")
    if size == old_size:
        return None
    return Checkpoint(view.stream, size, root, time, notary.sign(view.stream, size, root), old_size, tuple(proof))


def _damaged(stream: str, why: str) -> DamagedLedgerError:
    return DamagedLedgerError(
        f"the stream `{stream}` is not the log that was signed before", why=why, fix="`llmcp audit verify` names what is damaged"
    )


def find_record(ledger: Ledger, stream: str, record_id: str) -> int:
    """Return the number of a record by its id. Raises: NotFoundError."""
    with ledger.view(stream) as view:
        seq = view.seq_of(record_id)
    if seq is None:
        raise NotFoundError(
            f"no record `{record_id[:64]}` in the stream `{stream}`",
            why="no such id in this store, or it was pruned",
            fix="look for it with `llmcp audit query`",
            code="no-such-record",
        )
    return seq


def prove(ledger: Ledger, stream: str, seq: int, key: VerifierKey) -> InclusionProof:
    """Return the proof that a record stands in the smallest checkpoint that covers it. Raises: NotFoundError, BrokenTreeError."""
    with ledger.view(stream) as view:
        leaf = view.leaf(seq)
        covering = next(view.checkpoints(seq - 1), None)
        if leaf is None or covering is None:
            raise NotFoundError(
                f"record {seq} of the stream `{stream}` cannot be proved",
                why="it is not there" if leaf is None else "no checkpoint covers it yet",
                fix="`llmcp audit checkpoint` signs one now" if covering is None else "look for it with `llmcp audit query`",
                code="not-provable",
            )
        proof = merkle.inclusion_proof(seq - 1, covering.size, view.hash_at)
    found = InclusionProof(leaf, seq, covering.size, tuple(proof), covering.note, key.text)
    if not merkle.verify_inclusion(merkle.leaf_hash(leaf), seq - 1, covering.size, proof, covering.root):
        raise BrokenTreeError(
            f"record {seq} is not the one that was signed",
            why="its proof does not verify",
            fix="`llmcp audit verify` names the damage",
        )
    return found


def check_proof(proof: InclusionProof, keys: Sequence[VerifierKey], verify: Verify) -> CheckpointText:
    """Return the checkpoint that a proof leads to, signed by one of `keys`. Raises: NegativeResultError where anything does not fit."""
    signed = signed_by(proof.note, keys, verify)
    if signed is None:
        raise _refuted("none of the trusted keys signed its checkpoint")
    if signed.size != proof.size:
        raise _refuted(f"the proof is for {proof.size} records, the checkpoint for {signed.size}")
    if not merkle.verify_inclusion(merkle.leaf_hash(proof.leaf), proof.seq - 1, signed.size, proof.proof, signed.root):
        raise _refuted("its hashes do not lead from the record to the signed root")
    return signed


def consistency(ledger: Ledger, stream: str, old: CheckpointText, new: CheckpointText) -> list[bytes]:
    """Return the proof that the log of `new` began with that of `old`. Raises: NegativeResultError, BrokenTreeError."""
    with ledger.view(stream) as view:
        if not 0 <= old.size <= new.size <= view.size():
            raise _refuted(f"the tree has {view.size()} records; asked for {old.size} and {new.size}")
        proof = merkle.consistency_proof(old.size, new.size, view.hash_at)
    if not merkle.verify_consistency(old.size, new.size, proof, old.root, new.root):
        raise _refuted(f"the {new.size} records do not begin with the {old.size}")
    return proof


def checkpoint_at(ledger: Ledger, stream: str, size: int) -> CheckpointText:
    """Return what the stored checkpoint of `size` leaves says. Raises: NotFoundError."""
    with ledger.view(stream) as view:
        found = next(view.checkpoints(size - 1), None)
    if found is None or found.size != size:
        raise NotFoundError(
            f"no checkpoint over {size} records of the stream `{stream}`",
            fix="`llmcp audit checkpoint --list` shows those there are",
        )
    return CheckpointText("", found.size, found.root)


def _refuted(why: str) -> NegativeResultError:
    return NegativeResultError(
        "the proof does not hold", why=why, fix="ask for a fresh one, or run `llmcp audit verify`", code="refuted"
    )


def known_keys(text: str) -> tuple[VerifierKey, ...]:
    """Return the keys that are kept beside the log, one a line, newest last. Raises: NoteError."""
    return tuple(signed_note.parse_vkey(line) for line in text.splitlines() if line)


def vouch(keys: Sequence[VerifierKey], key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """Return what makes older keys trusted: a note of the newest one over all of them. A list beside the log could be anybody's."""
    return signed_note.seal(_vouched(keys), key, sign)


def vouched(keys: Sequence[VerifierKey], own: VerifierKey, note: str, verify: Verify) -> bool:
    """Tell whether `own` is the only one of `keys`, or has signed that these are its predecessors and itself."""
    if tuple(keys) == (own,):
        return True
    try:
        return tuple(keys[-1:]) == (own,) and signed_note.open_note(note, own, verify) == _vouched(keys)
    except NoteError:
        return False


def _vouched(keys: Sequence[VerifierKey]) -> str:
    return "\n".join((_KEYS_TYPE, *(key.text for key in keys), ""))


def trusted_keys(kept: str, given: Sequence[str]) -> tuple[VerifierKey, ...]:
    """Return the keys to check with: those that were given, else those that are kept. Raises: NotFoundError where there is none."""
    keys = tuple(signed_note.parse_vkey(text) for text in given) or known_keys(kept)
    if not keys:
        raise NotFoundError("this store has no signing key yet", fix="`llmcp audit checkpoint` makes one", code="no-key")
    return keys


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as a plain document."""
    return {
        "stream": checkpoint.stream,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "time": checkpoint.time,
        "previous": checkpoint.previous,
        "note": checkpoint.note,
    }
