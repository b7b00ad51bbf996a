"""The gap that stays in the ledger when records were lost: a control record that says how many, and from when to when.

Rules:
1. It is written when the store takes records again, by the recorder's own thread.
2. A daemon that ends while the store still refuses leaves a note in `run/`; the next start reports it.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from llmcp.config.home import write_private
from llmcp.errors import LlmcpError
from llmcp.runtime.recorder import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.control.change import Change
    from llmcp.ports.stores import StoreKeeper

log = logging.getLogger("llmcp.recorder")
ACTION = "store.records_lost"


class LostRecords:
    """See the module's rules. `new_change` says that the daemon does it, and when."""

    def __init__(self, keeper: StoreKeeper, home: Home, *, new_change: Callable[[], Change]) -> None:
        self._keeper = keeper
        self._file = home.run / "lost.json"
        self._new_change = new_change

    def report(self, lost: Lost) -> None:
        """Write the control record. Raises: LlmcpError while the store does not take it."""
        change = self._new_change()
        self._keeper.note(change.record(ACTION, "records", count=str(lost.count), first=lost.first, last=lost.last))
        log.error("records_lost", extra={"fields": {"records": lost.count, "first": lost.first, "last": lost.last}})

    def keep(self, lost: Lost) -> None:
        """Report at the end of the daemon, or leave a note for the next one."""
        try:
            self.report(lost)
        except LlmcpError:
            try:
                write_private(self._file, json.dumps({"count": lost.count, "first": lost.first, "last": lost.last}) + "\n")
            except LlmcpError as error:
                log.error("records_lost", extra={"fields": {"records": lost.count, "why": error.why}})  # noqa: TRY400 - no trace

    def report_kept(self) -> None:
        """Report what the last daemon left a note of. Where the store does not take it, the note stays."""
        try:
            note = json.loads(self._file.read_text(encoding="utf-8"))
            self.report(Lost(int(note["count"]), str(note["first"]), str(note["last"])))
        except FileNotFoundError:
            return
        except LlmcpError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("note_of_lost_records_not_readable")
        self._file.unlink(missing_ok=True)
