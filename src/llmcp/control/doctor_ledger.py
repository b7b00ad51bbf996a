"""Checks of the ledger: that what is recorded gets leaves and signed checkpoints, and that copies of them can be had.

The whole proof is `llmcp audit verify`'s; this looks at the newest checkpoint only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.control.doctor import fail, ok, skip, told, warn
from llmcp.control.ledger import signed_by
from llmcp.core.ledger import STREAMS
from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llmcp.control.doctor import Finding
    from llmcp.core.signed_note import VerifierKey, Verify
    from llmcp.ports.ledger import Anchor, Ledger

_LATE: Final = 10
"""So many times the setting's seconds: then a running daemon should have signed."""


def checkpoints(
    ledger: Ledger, keys: Sequence[VerifierKey], verify: Verify, *, every_s: int, age_s: Callable[[str], float], running: bool
) -> Iterator[Finding]:
    """Check of each stream that it grows whole, and that its newest checkpoint is signed and not old."""
    for stream in STREAMS:
        with ledger.view(stream) as view:
            size, last, damage = view.size(), view.last_checkpoint(), view.damage()
        if damage:
            yield fail(f"the {stream} stream gets no leaves any more: {damage}", "`llmcp audit verify` says what was done to it")
        elif last is None:
            yield skip(f"the {stream} stream has no checkpoint yet ({size:,} records)")
        elif (said := signed_by(last.note, keys, verify)) is None or (said.size, said.root) != (last.size, last.root):
            yield fail(f"the newest checkpoint of the {stream} stream is not signed by this log's key", "`llmcp audit verify`")
        elif last.size < size and running and age_s(last.time) > _LATE * every_s:
            yield warn(f"{size - last.size:,} {stream} records since {last.time} stand under no checkpoint", "see `llmcp status`")
        else:
            yield ok(f"{stream}: {last.size:,} of {size:,} records under the checkpoint of {last.time}")


def anchors(places: Sequence[Anchor], left_out: int) -> Iterator[Finding]:
    """Check that every anchor can be read; `left_out` were not asked (`--offline`)."""
    for place in places:
        try:
            kept = sum(1 for _ in place.notes())
        except LlmcpError as error:
            yield told(error)
        else:
            yield ok(f"{place.name} keeps {kept:,} checkpoints")
    if left_out:
        yield skip(f"{left_out} beyond this machine were not asked")
    if not places and not left_out:
        yield skip("no checkpoint goes outside: `ledger.anchors` names no place")


def names(uris: Iterable[str], *, offline: bool) -> tuple[list[str], int]:
    """Return the anchors to ask, and how many are left out."""
    found = list(uris)
    here = [uri for uri in found if not uri.startswith(("http:", "https:"))] if offline else found
    return here, len(found) - len(here)
