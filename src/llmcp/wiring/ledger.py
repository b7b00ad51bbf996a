"""The ledger put together: its file, its key, its anchors, and what the command line does with them.

Rules:
1. The log's name and key are made at the first checkpoint and kept beside the log. Another name in the settings is refused later.
2. A key that is gone, or another than the one that signed, signs nothing: `audit checkpoint --new-key` is an operator's decision,
   and leaves a control record.
3. `cryptography` is loaded by the first signature that is made or checked.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcp.control import ledger as use_cases
from llmcp.control import ledger_anchors, ledger_prune
from llmcp.control.ledger import Notary, known_keys
from llmcp.core import signed_note
from llmcp.core.ledger import STREAMS, Damage, DamageList, Kind, read_inclusion_proof
from llmcp.core.records import timestamp
from llmcp.core.signed_note import CheckpointText, VerifierKey, is_name
from llmcp.errors import LlmcpError, NotFoundError, UnreachableError, UsageError
from llmcp.stores.anchors import open_anchor
from llmcp.stores.sqlite.ledger import SqliteLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmcp.config.home import Home
    from llmcp.control.ledger_verify import StreamReport
    from llmcp.core.ledger import InclusionProof
    from llmcp.core.settings import Settings
    from llmcp.ports.ledger import Anchor, Ledger
    from llmcp.ports.stores import SecretStore

ORIGIN = "ledger.origin"
KEYS = "ledger.vkeys"
VOUCHED = "ledger.vkeys.vouched"
BETWEEN_STEPS_S = 0.05
"""SQLite's lock is not fair: between two steps of a pruning the recorder gets its turn."""


@dataclass(frozen=True, slots=True)
class Book:
    """A home's ledger."""

    home: Home
    settings: Settings
    ledger: SqliteLedger

    def secrets(self) -> SecretStore:
        """Return the home's secret store."""
        from llmcp.wiring.credentials import open_secrets

        secrets: Any = open_secrets(self.home, self.settings)
        return secrets  # type: ignore[no-any-return]

    def notary(self, *, new_key: bool = False) -> Notary:
        """Return who signs."""
        return open_notary(self.ledger, self.secrets(), self.settings.ledger.origin, new_key=new_key)

    def anchors(self, more: Iterable[str] = ()) -> tuple[Anchor, ...]:
        """Return the anchors of the settings and `more`; relative paths of settings are the home's. Raises: UsageError."""
        kept = [open_anchor(uri, self.home.config) for uri in self.settings.ledger.anchors]
        return (*kept, *(open_anchor(uri, Path.cwd()) for uri in more))


def open_book(home: Home, settings: Settings, *, make: bool = True) -> Book:
    """Return the ledger of a home; where there is none, one is made, or without `make` an empty one is read.

    Raises: UnreachableError and what opening a store raises.
    """
    from llmcp.stores import open_audit_log
    from llmcp.wiring.absent import place_to_read
    from llmcp.wiring.keeping import refuse_upgrade_in_use

    refuse_upgrade_in_use(home, settings)
    records: Any = open_audit_log(*((settings.store, home.data) if make else place_to_read(home, settings)))
    records.close()
    return Book(home, settings, SqliteLedger(records.path))


def open_notary(ledger: Ledger, secrets: SecretStore, wanted_origin: str = "", *, new_key: bool = False) -> Notary:
    """Return who signs for this log; name and key are made where there are none yet. Raises: UsageError, UnreachableError."""
    from llmcp.stores.ledger_key import load_signer, make_signer, verify

    origin = _origin(ledger, wanted_origin)
    known = known_keys(ledger.value(KEYS))
    signer = load_signer(secrets)
    if new_key or (signer is None and not known):
        signer = make_signer(secrets)
    if signer is None:
        raise _key_lost("the secret store does not have it")
    key = VerifierKey(origin, signer.public)
    if not known:
        known = known_keys(ledger.keep_first(KEYS, key.text))
    if key not in known:
        if not new_key:
            raise _key_lost("the one in the secret store is not the one that signed before")
        known = (*known, key)
        ledger.keep(VOUCHED, use_cases.vouch(known, key, signer.sign))
        ledger.keep(KEYS, "\n".join(one.text for one in known))
    elif not use_cases.vouched(known, key, ledger.value(VOUCHED), verify):
        known = (key,)
    return Notary(signer, key, verify, known)


def _key_lost(why: str) -> UnreachableError:
    return UnreachableError(
        "the ledger's signing key is gone", why=why,
        fix="restore the secret `ledger/signing-key`, or go on with another: `llmcp audit checkpoint --new-key`", code="ledger-key",
    )  # fmt: skip


def _origin(ledger: Ledger, wanted: str) -> str:
    kept = ledger.value(ORIGIN)
    if wanted and (not is_name(wanted) or (kept and kept != wanted)):
        raise UsageError(
            f"the log cannot be called `{wanted[:64]}`",
            why=f"it is called `{kept}` in its checkpoints" if kept else "a name has no spaces and no plus",
            fix="take `ledger.origin` out of the settings" if kept else "write a host and a path, as `example.com/llmcp`",
            code="ledger-origin",
        )
    return kept or ledger.keep_first(ORIGIN, wanted or f"llmcp.dev/ledger/{os.urandom(8).hex()}")


def stamp() -> str:
    """Return the time as records say it."""
    from llmcp import wiring

    return timestamp(wiring.now())


def scribe(actor: str = "") -> ledger_prune.Scribe:
    """Return who writes the control records of a pruning: this command's user, or `actor`."""
    from llmcp.wiring.changes import change

    return ledger_prune.Scribe(actor or change().actor, stamp, lambda: change().record_id)


@dataclass(frozen=True, slots=True)
class Verification:
    """What `audit verify` found. `count` also counts damages that are not listed one by one."""

    streams: tuple[StreamReport, ...]
    anchors: tuple[tuple[str, int], ...]
    keys: tuple[str, ...]
    damages: tuple[Damage, ...]
    count: int

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        from dataclasses import asdict

        return {
            "ok": not self.count,
            "streams": [asdict(report) for report in self.streams],
            "anchors": [{"name": name, "compared": compared} for name, compared in self.anchors],
            "keys": list(self.keys),
            "damages": [damage.document() for damage in self.damages],
            "count": self.count,
        }


def verify_all(
    book: Book,
    *,
    stream: str = "",
    anchors: Iterable[str] = (),
    keys: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    note: Callable[[str], None] = lambda _text: None,
) -> Verification:
    """Check the streams (or the one), and hold them against the anchors."""
    from llmcp.control.ledger_chain import Trust
    from llmcp.control.ledger_verify import StreamReport, verify_stream
    from llmcp.stores.ledger_key import verify

    damages, reports = DamageList(), list[StreamReport]()
    damages.extend(tuple(book.ledger.beside()))
    try:
        trust = Trust(_trusted(book, keys, damages, note), verify, book.ledger.value(ORIGIN))
        ledger = SqliteLedger(book.ledger.path, _body_check(book, note))
        for name in (stream,) if stream else STREAMS:
            with ledger.view(name) as view:
                reports.append(verify_stream(view, trust, damages, progress))
    except UnreachableError as error:
        if not damages.count:
            raise
        damages.add(Damage(Kind.SCHEMA_ALTERED, "", f"the rest cannot be looked at: {error.why}"))
        return Verification(tuple(reports), (), (), damages.found(), damages.count)
    compared = tuple(
        (anchor.name, ledger_anchors.verify_anchor(book.ledger, anchor, trust, damages)) for anchor in book.anchors(anchors)
    )
    return Verification(tuple(reports), compared, tuple(key.text for key in trust.keys), damages.found(), damages.count)


def _trusted(book: Book, given: Sequence[str], damages: DamageList, note: Callable[[str], None]) -> tuple[VerifierKey, ...]:
    """Return the keys to check with: those given, else those beside the log, if the one in the secret store vouches for them."""
    from llmcp.stores.ledger_key import load_signer, verify

    if given:
        return tuple(signed_note.parse_vkey(text) for text in given)
    try:
        known = known_keys(book.ledger.value(KEYS))
    except LlmcpError as error:
        damages.add(Damage(Kind.KEY_CHANGED, "", error.why or error.what))
        known = ()
    try:
        signer = load_signer(book.secrets())
    except LlmcpError as error:
        note(f"the secret store cannot be asked for the signing key ({error.what}): the one beside the log is believed")
        return known
    if signer is None:
        if known:
            note("the signing key is not in the secret store: the one beside the log is believed (`--public-key` gives another)")
        return known
    own = VerifierKey(book.ledger.value(ORIGIN), signer.public)
    if known[-1:] != (own,) and any(_has_checkpoints(book, stream) for stream in STREAMS):
        damages.add(Damage(Kind.KEY_CHANGED, "", "the public key beside the log is not that of the key in the secret store"))
    if own in known and not use_cases.vouched(known, own, book.ledger.value(VOUCHED), verify):
        damages.add(Damage(Kind.KEY_CHANGED, "", "beside the log are keys that the one in the secret store does not vouch for"))
        return (own,)
    return (own,) if own not in known else known


def _body_check(book: Book, note: Callable[[str], None]) -> Callable[[str, bytes], bool] | None:
    """Return what opens kept bodies; None where there are none, or where their key cannot be had."""
    from llmcp.stores.sqlite.bodies import KEY_NAME, SqliteBodies

    if not book.ledger.count_bodies("~"):
        return None
    try:
        key = book.secrets().get(KEY_NAME)
    except LlmcpError as error:
        note(f"kept bodies are not opened: the secret store cannot be asked ({error.what})")
        return None
    if key is None:
        note("kept bodies are not opened: their key is not in the secret store")
        return None
    return SqliteBodies(book.ledger.path, lambda: key).opens


def _has_checkpoints(book: Book, stream: str) -> bool:
    with book.ledger.view(stream) as view:
        return view.last_checkpoint() is not None


@dataclass(frozen=True, slots=True)
class Signed:
    """What `audit checkpoint` did: the newest checkpoint of each stream, how many are new or were anchored, which anchors failed."""

    notes: list[dict[str, Any]]
    made: int
    anchored: dict[str, int]
    problems: list[str]


def sign_now(book: Book, *, anchors: Iterable[str] = (), new_key: bool = False) -> Signed:
    """Sign what is not signed, and bring it to the anchors. Raises: DamagedLedgerError."""
    from llmcp.stores.sqlite.change import change as write
    from llmcp.wiring.changes import change

    wanted = book.anchors(anchors)
    notary = book.notary(new_key=new_key)
    if new_key:
        with write(book.ledger.path, change().record("ledger.key", notary.key.text)):
            pass
    made = sum(use_cases.sign_checkpoint(book.ledger, stream, notary, stamp()) is not None for stream in STREAMS)
    anchored, problems = dict.fromkeys((anchor.name for anchor in wanted), 0), list[str]()
    for anchor in wanted:
        try:
            while sent := ledger_anchors.deliver(book.ledger, anchor):
                anchored[anchor.name] += sent
        except UnreachableError as error:
            problems.append(f"{error.what}: {error.why}")
    return Signed(newest(book), made, anchored, problems)


def newest(book: Book) -> list[dict[str, Any]]:
    """Return the newest checkpoint of each stream that has one."""
    found = []
    for stream in STREAMS:
        with book.ledger.view(stream) as view:
            last = view.last_checkpoint()
        if last is not None:
            found.append(use_cases.described(last))
    return found


def checkpoints(book: Book) -> list[dict[str, Any]]:
    """Return all checkpoints."""
    found = []
    for stream in STREAMS:
        with book.ledger.view(stream) as view:
            found += [use_cases.described(checkpoint) for checkpoint in view.checkpoints()]
    return found


def public_key(book: Book) -> str:
    """Return the public key, made where there is none yet."""
    known = known_keys(book.ledger.value(KEYS))
    return (known[-1] if known else book.notary().key).text


def prove(book: Book, stream: str, record_id: str, seq: int) -> InclusionProof:
    """Return the proof of a record by its id, else by its number. Raises: NotFoundError, BrokenTreeError, UsageError."""
    key = use_cases.trusted_keys(book.ledger.value(KEYS), ())[-1]
    return use_cases.prove(book.ledger, stream, seq or use_cases.find_record(book.ledger, stream, record_id), key)


def check_proof(text: str, keys: Sequence[str]) -> tuple[InclusionProof, CheckpointText]:
    """Check what `audit prove` wrote; without `keys` with its own. Raises: UsageError, NegativeResultError, NoteError."""
    import json

    from llmcp.stores.ledger_key import verify

    try:
        proof = read_inclusion_proof(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            "this file is no inclusion proof", why="it is no JSON", fix="make one with `llmcp audit prove`"
        ) from error
    trusted = tuple(signed_note.parse_vkey(key) for key in keys) or (signed_note.parse_vkey(proof.vkey),)
    return proof, use_cases.check_proof(proof, trusted, verify)


def checkpoint_at(book: Book, stream: str, size: int) -> CheckpointText:
    """Return the stored checkpoint over so many records. Raises: NotFoundError."""
    return use_cases.checkpoint_at(book.ledger, stream, size)


def checkpoint_in(book: Book, notes: str, stream: str, keys: Sequence[str]) -> CheckpointText:
    """Return the newest checkpoint of a stream among notes, as one of the keys signed it. Raises: NotFoundError."""
    from llmcp.stores.ledger_key import verify

    trusted = use_cases.trusted_keys(book.ledger.value(KEYS), keys)
    said = [found for note in signed_note.split_notes(notes) if (found := use_cases.signed_by(note, trusted, verify)) is not None]
    of_stream = [found for found in said if found.origin.endswith(f"/{stream}")]
    if not of_stream:
        raise NotFoundError(
            f"this file holds no checkpoint of the stream `{stream}`",
            why="none is signed by a key of this log" if not said else f"it holds one of {said[0].origin}",
            fix="give its `--public-key`" if not said else "say which with `--stream`",
        )
    return max(of_stream, key=lambda found: found.size)


def consistency(book: Book, stream: str, old: CheckpointText, new: CheckpointText) -> list[bytes]:
    """Return the proof that the log only grew. Raises: NegativeResultError, BrokenTreeError."""
    return use_cases.consistency(book.ledger, stream, old, new)


def plan_pruning(book: Book, mode: str, before: str) -> ledger_prune.Plan:
    """Return what a pruning would take."""
    return (ledger_prune.plan_rows if mode == "rows" else ledger_prune.plan_bodies)(book.ledger, before)


def prune(book: Book, mode: str, plan: ledger_prune.Plan, note: Callable[[str], None], actor: str = "") -> int:
    """Take away what was planned; return how much went. Raises: DamagedLedgerError."""
    if mode == "bodies":
        return sum(ledger_prune.prune_bodies(book.ledger, plan, scribe(actor)))
    gone = 0
    for step in ledger_prune.prune_rows(book.ledger, plan, book.notary(), scribe(actor)):
        gone += step
        if gone < plan.records:
            note(f"{gone} of {plan.records} records are gone")
            time.sleep(BETWEEN_STEPS_S)
    return gone
