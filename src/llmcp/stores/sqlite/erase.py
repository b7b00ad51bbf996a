"""Erasing a person: the rows behind the references, and the bytes in the file and in its log.

Rules:
1. The control record names references only: who was erased stands nowhere afterwards.
2. A token that admits nobody any more forgets for whom it was. One that still does keeps its user: it would bring the name back.
3. Records and tree stay as they are. Backups and exports that were made before keep what they have.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from llmcp.core.erasure import Erased
from llmcp.errors import NotFoundError
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.file import connect, translated
from llmcp.stores.sqlite.persons import erase

if TYPE_CHECKING:
    from pathlib import Path

    from llmcp.core.control_records import ControlRecord


_TOKENS: Final = """UPDATE tokens SET [user] = '' WHERE [user] = :value AND (:org IS NULL OR org = :org)
   AND (revoked <> '' OR expires <> '' AND expires <= :now)"""


def erase_person(path: Path, org: str | None, value: str, record: ControlRecord) -> Erased:
    """Forget `value` in one org or in all; `record` is given the references as its target.

    Raises: NotFoundError where nobody is known by it; UnreachableError; with nothing written.
    """
    with change(path, record) as connection:
        gone = erase(connection, org, value)
        ended = connection.execute(_TOKENS, {"value": value, "org": org, "now": record.time}).rowcount
        if not gone and not ended:
            raise NotFoundError(
                "no record names this person",
                why="nobody is known by that name" if org is None else f"nobody is known by that name in the org `{org[:64]}`",
                fix="write it as `llmcp audit query -o csv` shows it; what was erased before is gone already",
                code="no-such-person",
            )
        record.target = " ".join(gone)
        record.detail = {**record.detail, "references": str(len(gone)), "tokens": str(ended)}
    return Erased(tuple(gone), _fold(path))


def _fold(path: Path) -> bool:
    with translated(path), closing(connect(path)) as connection:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
