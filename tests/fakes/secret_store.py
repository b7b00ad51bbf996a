"""A secret store in memory, for tests of what stands above it."""

from __future__ import annotations


class MemorySecretStore:
    """A `SecretStore` that ends with its process."""

    kind = "file"

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """See the port."""
        return self._secrets.get(name)

    def set(self, name: str, secret: bytes) -> None:
        """See the port."""
        self._secrets[name] = secret

    def delete(self, name: str) -> bool:
        """See the port."""
        return self._secrets.pop(name, None) is not None

    def names(self) -> tuple[str, ...]:
        """See the port."""
        return tuple(sorted(self._secrets))
