"""Keychains to stand behind `keyring`: one that keeps items in memory, one that breaks with the secret in its words, one that hangs."""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class MemoryKeychain(KeyringBackend):
    """Keeps items in memory. `keyring` finds it by itself unless its priority says no."""

    priority = -2

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return an item, or None."""
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an item."""
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Remove an item."""
        if self.items.pop((service, username), None) is None:
            raise PasswordDeleteError("No such password!")


class BrokenKeychain(MemoryKeychain):
    """Fails at every write, and quotes what it was given."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Fail."""
        raise RuntimeError(f"cannot store {password!r}")


class SilentKeychain(MemoryKeychain):
    """Waits for an answer of a person that never comes."""

    def get_password(self, service: str, username: str) -> str | None:
        """Wait."""
        threading.Event().wait(60)
        return None
