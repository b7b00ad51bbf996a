"""The ledger put together: its file, its key, its anchors; and the part of the daemon that signs by itself.

Rules:
1. The log's name and key are made at the first checkpoint and kept beside the log. Another name in the settings is refused later.
2. A key that is gone, or another than the one that signed, signs nothing: `audit checkpoint --new-key` is an operator's decision,
   and leaves a control record.
3. `cryptography` is loaded by the first signature, in a thread: the daemon's start does not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from llmcp.control.ledger import Notary, known_keys
from llmcp.control.ledger_keeper import Keeper, KeeperState
from llmcp.core.records import timestamp
from llmcp.core.signed_note import VerifierKey, is_name
from llmcp.errors import LlmcpError, UnreachableError, UsageError
from llmcp.runtime.chores import Chore, Chores
from llmcp.stores.anchors import open_anchor
from llmcp.stores.sqlite_ledger import SqliteLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from llmcp.config.home import Home
    from llmcp.control.ledger_prune import Scribe
    from llmcp.core.settings import Settings
    from llmcp.ports.ledger import Anchor, Ledger
    from llmcp.ports.stores import SecretStore
    from llmcp.telemetry.metrics import Registry

ORIGIN = "ledger.origin"
KEYS = "ledger.vkeys"
_STOP_S = 20.0
_TICK_S = 1.0
_RETENTION_S = 3600.0
_RETENTION_FIRST_S = 60.0
_BETWEEN_STEPS_S = 0.05

log = logging.getLogger("llmcp.ledger")


def open_ledger(home: Home, settings: Settings) -> SqliteLedger:
    """Return the ledger's side of the home's store. Raises: UnreachableError and what opening a store raises."""
    from llmcp.stores import open_audit_log

    records: Any = open_audit_log(settings.store, home.data)
    path: Path = records.path
    records.close()
    return SqliteLedger(path)


def secrets_of(home: Home, settings: Settings) -> SecretStore:
    """Return the home's secret store."""
    from llmcp.wiring.credentials import open_secrets

    return open_secrets(home, settings)


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
    if key not in known:
        if known and not new_key:
            raise _key_lost("the one in the secret store is not the one that signed before")
        known = (*known, key)
        ledger.keep(KEYS, "\n".join(one.text for one in known))
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


def open_anchors(home: Home, settings: Settings, more: Iterable[str] = ()) -> tuple[Anchor, ...]:
    """Return the anchors of the settings and `more`; relative paths of settings are the home's. Raises: UsageError."""
    from pathlib import Path

    kept = [open_anchor(uri, home.config) for uri in settings.ledger.anchors]
    return (*kept, *(open_anchor(uri, Path.cwd()) for uri in more))


def stamp() -> str:
    """Return the time as records say it."""
    from llmcp import wiring

    return timestamp(wiring.now())


def scribe(actor: str) -> Scribe:
    """Return who writes the control records of a pruning."""
    from llmcp.control.ledger_prune import Scribe

    return Scribe(actor, stamp, fresh_id)


def fresh_id() -> str:
    """Return an id for a control record: sorted by age, never returned before."""
    return f"c_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def operator() -> str:
    """Return who runs this command."""
    import getpass

    try:
        return f"local:{getpass.getuser()}"
    except (OSError, KeyError):
        return f"local:{os.getuid()}"


class LedgerPart:
    """The daemon's part: checkpoints, anchors and retention, in a thread of its own."""

    def __init__(self, home: Home, settings: Settings, current: Callable[[], Settings], registry: Registry) -> None:
        self._ledger = open_ledger(home, settings)
        self._current = current
        self._said: tuple[str, ...] = ()
        self._retention_problem = ""

        def notary() -> Notary:
            return open_notary(self._ledger, secrets_of(home, settings), settings.ledger.origin)

        self._notary = notary
        self._keeper = Keeper(
            self._ledger, notary, open_anchors(home, settings), records=settings.ledger.checkpoint_records,
            seconds=settings.ledger.checkpoint_s, now=stamp,
        )  # fmt: skip
        self._chores = Chores(
            (
                Chore("checkpoints", _TICK_S, self._tick, at_end=self._finish),
                Chore("retention", _RETENTION_S, self._retain, first_s=_RETENTION_FIRST_S),
            ),
            time.monotonic,
        )
        self._export(registry)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the ledger, for `status`."""
        return (*self._keeper.state().problems, *((self._retention_problem,) if self._retention_problem else ()))

    async def start(self) -> None:
        """Begin."""
        self._chores.start()

    async def stop(self, cut: asyncio.Event) -> None:
        """Sign what the recorder wrote last."""
        del cut
        if not await asyncio.to_thread(self._chores.stop, _STOP_S):
            log.error("ledger_not_signed", extra={"fields": {"why": "it took too long"}})

    def _tick(self, monotonic: float) -> None:
        self._keeper.tick(monotonic)
        self._say()

    def _finish(self, monotonic: float) -> None:
        self._keeper.finish(monotonic)
        self._say()

    def _say(self) -> None:
        problems = self._keeper.state().problems
        if problems != self._said:
            for problem in problems:
                if problem not in self._said:
                    log.error("ledger_problem", extra={"fields": {"what": problem}})
            if not problems:
                log.info("ledger_recovered")
            self._said = problems

    def _retain(self, monotonic: float) -> None:
        del monotonic
        try:
            gone = retain(self._ledger, self._current(), self._notary, "daemon")
        except LlmcpError as error:
            self._retention_problem = f"retention: {error.what}{f': {error.why}' if error.why else ''}"
            log.error("retention_failed", extra={"fields": {"what": error.what, "why": error.why}})  # noqa: TRY400 - no bug, no traceback
            return
        self._retention_problem = ""
        if any(gone.values()):
            log.info("retention_applied", extra={"fields": gone})

    def _export(self, registry: Registry) -> None:
        def state() -> KeeperState:
            return self._keeper.state()

        registry.gauge("llmcp_checkpoints_signed_total", "Checkpoints of the ledger.", lambda: state().signed, kind="counter")
        registry.gauge(
            "llmcp_ledger_failures_total", "Checkpoints or anchors that failed.", lambda: state().failures, kind="counter"
        )
        registry.gauge(
            "llmcp_checkpoints_anchored_total", "Checkpoints brought to anchors.", lambda: state().anchored, kind="counter"
        )


def retain(ledger: Ledger, settings: Settings, notary: Callable[[], Notary], actor: str) -> dict[str, int]:
    """Apply the retention settings; return how many records and bodies went."""
    from datetime import timedelta

    from llmcp import wiring
    from llmcp.control import ledger_prune

    gone = {"records": 0, "bodies": 0}
    if days := settings.retention.bodies_days:
        plan = ledger_prune.plan_bodies(ledger, timestamp(wiring.now() - timedelta(days=days)))
        gone["bodies"] = sum(ledger_prune.prune_bodies(ledger, plan, scribe(actor)))
    if days := settings.retention.rows_days:
        plan = ledger_prune.plan_rows(ledger, timestamp(wiring.now() - timedelta(days=days)))
        if plan.records:
            for step in ledger_prune.prune_rows(ledger, plan, notary(), scribe(actor)):
                gone["records"] += step
                time.sleep(_BETWEEN_STEPS_S)  # SQLite's lock is not fair: the recorder gets its turn
    return gone
