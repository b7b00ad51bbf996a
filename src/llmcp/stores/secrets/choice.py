"""Which secret store a home has: chosen once, when the first secret is kept, and then always the same.

Rules:
1. `credentials.backend` decides; with `auto` what is there decides (`credentials.enc`, or `credentials.keychain`, which says that
   the secrets are in the keychain): a daemon outside the desktop's session must not look elsewhere than the person did.
2. With `auto` and nothing there yet, the first write takes the keychain where one can be used, else the file. Reading what is
   not there asks no backend at all, and imports none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.errors import LlmcpError
from llmcp.stores.private_files import remove_private, write_private
from llmcp.stores.secrets.file import FILE, FileSecretStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmcp.ports.stores import SecretStore

MARK: Final = "credentials.keychain"


class ChosenSecretStore:
    """The secret store of the home whose config directory is `directory`. `backend` is the setting."""

    def __init__(self, directory: Path, *, backend: str, given: str, notice: Callable[[str], None]) -> None:
        self._directory = directory
        self._backend = backend
        self._given = given
        self._notice = notice
        self._found: SecretStore | None = None

    @property
    def kind(self) -> str:
        """`keychain` or `file`; '' while that is open."""
        found = self.settled()
        return found.kind if found is not None else ""

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""
        found = self.settled()
        return found.get(name) if found is not None else None

    def set(self, name: str, secret: bytes) -> None:
        """Keep a secret, in the place of an older one."""
        store = self.settled() or self._choose()
        marks = store.kind == "keychain" and not self._marked()
        mark = self._directory / MARK
        if marks:  # before the secret: one that nobody looks for is lost
            write_private(mark, b"The secrets of this home are in the OS keychain.\n")
        try:
            store.set(name, secret)
        except LlmcpError:
            if marks:
                remove_private(mark)
            raise

    def delete(self, name: str) -> bool:
        """Remove a secret; False where there was none."""
        found = self.settled()
        return found.delete(name) if found is not None else False

    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets, sorted."""
        found = self.settled()
        return found.names() if found is not None else ()

    def settled(self) -> SecretStore | None:
        """Return the store that settings or files name; None where nothing is kept yet and nothing names one."""
        if self._found is None:
            if self._backend == "keychain" or (self._backend == "auto" and self._marked()):
                self._found = self._keychain()
            elif self._backend == "file" or (self._directory / FILE).exists():
                self._found = self._file()
        return self._found

    def _marked(self) -> bool:
        return (self._directory / MARK).exists()

    def _choose(self) -> SecretStore:
        from llmcp.stores.secrets.keychain import unusable_because  # noqa: PLC0415 - only where it may be used

        self._found = self._file() if unusable_because() else self._keychain()
        return self._found

    def _file(self) -> FileSecretStore:
        return FileSecretStore(self._directory, self._given, self._notice)

    def _keychain(self) -> SecretStore:
        from llmcp.stores.secrets.keychain import KeychainSecretStore  # noqa: PLC0415 - only where it may be used

        return KeychainSecretStore(self._directory)
