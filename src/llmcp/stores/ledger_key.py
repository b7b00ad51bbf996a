"""The ledger's Ed25519 key: made once, kept in the secret store, never anywhere else.

`cryptography` (8 MB) is imported when something is signed or checked, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmcp.errors import NotFoundError, UnreachableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from llmcp.ports.stores import SecretStore

SECRET_NAME: Final = "ledger/signing-key"  # noqa: S105 - a name
_SEED_BYTES: Final = 32


class LedgerSigner:
    """A `Signer` over a private key in memory."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature."""
        return self._private.sign(message)


def load_signer(secrets: SecretStore) -> LedgerSigner | None:
    """Return the key that is kept, None where none is. Raises: UnreachableError."""
    seed = secrets.get(SECRET_NAME)
    return _signer(seed) if seed is not None else None


def make_signer(secrets: SecretStore) -> LedgerSigner:
    """Make a key, keep it in the place of an older one, and return it as it was kept."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    secrets.set(SECRET_NAME, Ed25519PrivateKey.generate().private_bytes_raw())
    kept = load_signer(secrets)
    if kept is None:
        raise NotFoundError("the ledger's key was not kept", why="the secret store does not have it", fix="see `llmcp key list`")
    return kept


def _signer(seed: bytes) -> LedgerSigner:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    if len(seed) != _SEED_BYTES:
        raise UnreachableError(
            "the ledger's key cannot be used",
            why=f"expected {_SEED_BYTES} bytes, got {len(seed)}",
            fix="restore the secret from a backup",
        )
    return LedgerSigner(Ed25519PrivateKey.from_private_bytes(seed))


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an Ed25519 signature is right."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - see above

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
