"""Places outside of the store that keep checkpoints, by URI: `file:PATH`, `git:DIRECTORY`, `http(s)://…`.

Rules:
1. A file and a repository keep one JSON document a line (`{"note": …}`): a line that was cut is skipped, never joined with the next.
2. An anchor is only ever added to. What it says is checked by whoever reads it: notes are signed.
3. http without TLS goes to loopback only; no redirect is followed, and no proxy of the environment is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llmcp.core.settings import is_loopback
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.ports.ledger import Anchor

_FIX: Final = "write `file:PATH`, `git:DIRECTORY` or `https://…`"


def open_anchor(uri: str, base: Path) -> Anchor:
    """Return the anchor that `uri` names; relative paths are below `base`. Nothing is touched yet. Raises: UsageError."""
    scheme, colon, rest = uri.partition(":")
    # Each kind is imported where it is named: a daemon without anchors loads none of them.
    if scheme in {"http", "https"}:
        from llmcp.stores.anchors.http import HttpAnchor  # noqa: PLC0415 - see above

        return HttpAnchor(_checked(uri))
    if not colon or not rest or scheme not in {"file", "git"}:
        raise UsageError(
            f"this is no anchor: `{scheme[:32]}`", why="expected a file, a git repository or a URL", fix=_FIX, code="bad-anchor"
        )
    path = base / Path(rest.removeprefix("//")).expanduser()
    if scheme == "file":
        from llmcp.stores.anchors.file import FileAnchor  # noqa: PLC0415 - see above

        return FileAnchor(path)
    from llmcp.stores.anchors.git import GitAnchor  # noqa: PLC0415 - see above

    return GitAnchor(path)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.fragment:
        raise UsageError("this is no anchor's URL", why="it has no host, or it carries credentials", fix=_FIX, code="bad-anchor")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(
            f"the anchor at {parts.hostname} is not https", why="only loopback may do without", fix=_FIX, code="bad-anchor"
        )
    return url
