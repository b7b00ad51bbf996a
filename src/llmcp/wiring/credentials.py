"""Provider credentials put together: the secret store of a home, and the snapshot of secrets that the daemon holds.

Rules:
1. What blocks (keychain, encrypted file, secret manager) is asked here, in a thread, never on the request path.
2. Nothing stored: neither `keyring` nor `cryptography` is imported.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.config.home import Home
    from llmcp.core.settings import Settings
    from llmcp.stores.secret_choice import ChosenSecretStore

log = logging.getLogger("llmcp.credentials")


def open_secrets(home: Home, settings: Settings, notice: Callable[[str], None] | None = None) -> ChosenSecretStore:
    """Return the secret store of a home. Nothing is opened, made or imported before a secret is asked for.

    `notice` is told what had to be mended (a file with open modes); None: the program log.
    """
    from llmcp.config.environment import master_key
    from llmcp.stores.secret_choice import ChosenSecretStore

    return ChosenSecretStore(home.config, backend=settings.credentials.backend, given=master_key(), notice=notice or _logged)


def _logged(text: str) -> None:
    log.warning("secrets_mended", extra={"fields": {"what": text}})
