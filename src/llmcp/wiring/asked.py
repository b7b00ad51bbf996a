"""What the command line asked of a daemon, as settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmcp.wiring.settings import Flag

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for; None where it was silent."""

    host: str | None = None
    port: int | None = None
    admin_port: int | None = None
    policies: tuple[Path, ...] = field(default=())
    insecure: bool = False
    log_to_file: bool = False

    def flags(self) -> tuple[Flag, ...]:
        """Return the settings that were asked for."""
        paths = [str(path.expanduser().absolute()) for path in self.policies] or None
        return (
            Flag("--host", ("listen", "host"), self.host),
            Flag("--port", ("listen", "port"), self.port),
            Flag("--admin-port", ("listen", "admin_port"), self.admin_port),
            Flag("--policies", ("policies", "paths"), paths),
        )
