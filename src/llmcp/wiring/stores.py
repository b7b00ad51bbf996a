"""Store adapters by URI scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmcp.config.document import SettingsError
from llmcp.stores.sqlite import SqliteAuditLog

if TYPE_CHECKING:
    from llmcp.config.home import Home
    from llmcp.core.settings import Settings

_SQLITE = "sqlite:///"


def store_path(home: Home, settings: Settings) -> Path:
    """Return the file that the setting `store` names. Raises: SettingsError for a scheme that is not built."""
    uri = settings.store
    if not uri:
        return home.store_file
    if not uri.startswith(_SQLITE) or uri == _SQLITE:
        scheme = uri.partition(":")[0]
        raise SettingsError(
            f"the store `{scheme}:` is not supported in this version",
            why="`store` (`LLMCP_STORE`) takes `sqlite:///PATH`",
            fix="write `sqlite:///relative/path` or `sqlite:////absolute/path`",
        )
    return home.data / Path(uri.removeprefix(_SQLITE)).expanduser()


def open_audit_log(home: Home, settings: Settings) -> SqliteAuditLog:
    """Open the store. Raises: what `SqliteAuditLog` does."""
    return SqliteAuditLog(store_path(home, settings))
