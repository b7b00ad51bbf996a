"""What the daemon does for the ledger by itself: when to sign, what to bring to anchors, what to say when it cannot.

Rules:
1. A stream is signed when enough records came since its last checkpoint, or enough time passed since the first of them.
2. A damaged stream is not signed; that stands among the problems until it is mended, the other stream goes on.
3. Nothing here raises but bugs: what fails is a problem, and is tried again later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llmcp.control.ledger import Notary, sign_checkpoint
from llmcp.control.ledger_anchors import deliver
from llmcp.core.ledger import STREAMS
from llmcp.errors import ConflictError, LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmcp.ports.ledger import Anchor, Ledger

_RETRY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class KeeperState:
    """How the ledger is doing: signed checkpoints, attempts that failed, notes brought to anchors, and what is wrong now."""

    signed: int
    failures: int
    anchored: int
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Stream:
    signed: int = 0
    since: float | None = None
    not_before: float = 0.0


@dataclass(slots=True)
class _Counts:
    signed: int = 0
    failures: int = 0
    anchored: int = 0
    problems: dict[str, str] = field(default_factory=dict)


class Keeper:
    """Keeps the checkpoints of one store. One thread calls it; `state` may be read from others."""

    def __init__(
        self,
        ledger: Ledger,
        notary: Callable[[], Notary],
        anchors: Sequence[Anchor],
        *,
        records: int,
        seconds: float,
        now: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._open_notary = notary
        self._notary: Notary | None = None
        self._anchors = {anchor.name: anchor for anchor in anchors}
        self._anchor_after = dict.fromkeys(self._anchors, 0.0)
        self._records = records
        self._seconds = seconds
        self._now = now
        self._streams: dict[str, _Stream] = {}
        self._counts = _Counts()
        self._undelivered = True

    def tick(self, monotonic: float) -> None:
        """Do what is due at this moment (seconds that never run backwards)."""
        self._guard("ledger", monotonic, lambda: self._sign_due(monotonic, force=False))
        self._deliver(monotonic)

    def finish(self, monotonic: float) -> None:
        """Sign what is not signed yet: the end of the daemon."""
        self._guard("ledger", monotonic, lambda: self._sign_due(monotonic, force=True))
        self._anchor_after = dict.fromkeys(self._anchors, 0.0)
        self._deliver(monotonic)

    def state(self) -> KeeperState:
        """Return the figures for status and metrics."""
        counts = self._counts
        return KeeperState(counts.signed, counts.failures, counts.anchored, tuple(dict.fromkeys(dict(counts.problems).values())))

    def _sign_due(self, monotonic: float, *, force: bool) -> None:
        standing = self._ledger.standing()
        for stream in STREAMS:
            known = self._streams.get(stream)
            if known is None:
                known = self._streams[stream] = _Stream(self._last_size(stream))
            size, damage = standing[stream]
            added = size - known.signed
            if added == 0 and not damage:
                known.since = None
                continue
            if known.since is None:
                known.since = monotonic
            # A tree that shrank or has a mark is looked at as well: signing says what is wrong with it.
            due = bool(damage) or added < 0 or added >= self._records or monotonic - known.since >= self._seconds
            if force or (due and monotonic >= known.not_before):
                self._guard(stream, monotonic, lambda: self._sign(stream))  # noqa: B023 - called here and now

    def _sign(self, stream: str) -> None:
        if self._notary is None:
            self._notary = self._open_notary()
        known = self._streams[stream]
        try:
            new = sign_checkpoint(self._ledger, stream, self._notary, self._now(), known.signed)
        except ConflictError:
            return  # somebody else has just signed: what is left is signed next time
        if new is not None:
            self._counts.signed += 1
            self._undelivered = True
        known.signed, known.since = new.size if new else self._last_size(stream), None

    def _last_size(self, stream: str) -> int:
        with self._ledger.view(stream) as view:
            last = view.last_checkpoint()
        return last.size if last else 0

    def _deliver(self, monotonic: float) -> None:
        if not self._undelivered:
            return
        done = [self._deliver_to(name, monotonic) for name in self._anchors]
        self._undelivered = not all(done)

    def _deliver_to(self, name: str, monotonic: float) -> bool:
        """Return whether the anchor has everything now."""
        if monotonic < self._anchor_after[name]:
            return False
        sent: list[int] = []
        if not self._guard(f"anchor {name}", monotonic, lambda: sent.append(deliver(self._ledger, self._anchors[name]))):
            self._anchor_after[name] = monotonic + _RETRY_S
            return False
        self._counts.anchored += sum(sent)
        return not sum(sent)

    def _guard(self, what: str, monotonic: float, work: Callable[[], None]) -> bool:
        try:
            work()
        except LlmcpError as error:
            self._counts.failures += 1
            self._counts.problems[what] = f"{error.what}: {error.why}" if error.why else error.what
            if what in self._streams:
                self._streams[what].not_before = monotonic + _RETRY_S
            return False
        self._counts.problems.pop(what, None)
        return True
