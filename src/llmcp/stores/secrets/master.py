"""The master key of the encrypted file: where it comes from, and the AES-256-GCM that is done with it.

Rules:
1. A key that was given (`LLMCP_MASTER_KEY`) is 32 bytes in hex or base64, or else a passphrase, stretched by scrypt with a salt and
   costs that stand in the file.
2. Nothing given: a random key in `master.key` (0600) beside the file, made when the first secret is kept. A key file that others
   could read is refused: whoever could read it may have it.
3. No `repr` and no error shows a key or a secret; a wrong key is told from a damaged file by the envelope's own check value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llmcp.errors import NotPermittedError, UsageError
from llmcp.stores.private_files import read_private

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PASSPHRASE_MIN: Final = 16
# OWASP's second line for scrypt: 32 MB and a quarter of a second here. Costs beyond the bounds are an attack on memory.
COST: Final = (2**15, 8, 3)
_COST_MAX: Final = (2**20, 16, 16)
_SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Derivation:
    """How the key of a file comes from what was given. `raw`: it is the key itself."""

    kind: str
    salt: bytes = b""
    cost: tuple[int, int, int] = COST


class MasterKey:
    """Seals and opens single entries."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 25 ms that `--help` does not need

        self._cipher = AESGCM(key)

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        """Encrypt `secret` with a fresh nonce; it opens only together with `bound_to`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes | None:
        """Decrypt, or return None: another key, another place, or altered bytes."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - loaded already

        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key that somebody gave us, as text."""

    text: str = field(repr=False)

    def derivation(self) -> Derivation:
        """Return how a new file's key comes from this one. Raises: UsageError for a passphrase that is too short."""
        if _raw(self.text) is not None:
            return Derivation("raw")
        if len(self.text) < _PASSPHRASE_MIN:
            raise UsageError(
                "the master key is too short",
                why=f"it is neither 32 bytes in hex or base64 nor a passphrase of at least {_PASSPHRASE_MIN} characters",
                fix="make one with `openssl rand -base64 32`",
                code="master-key",
            )
        return Derivation("scrypt", os.urandom(_SALT_BYTES))

    def master(self, how: Derivation) -> MasterKey | None:
        """Return the key for a file of the derivation `how`; None where this cannot be its key."""
        raw = _raw(self.text)
        if how.kind == "raw":
            return MasterKey(raw) if raw is not None else None
        if any(given > most for given, most in zip(how.cost, _COST_MAX, strict=True)):
            return None
        n, r, p = how.cost
        try:
            key = hashlib.scrypt(self.text.encode(), salt=how.salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=KEY_BYTES)
        except ValueError:
            return None
        return MasterKey(key)


def new_key_text() -> str:
    """Return a fresh random key, as `master.key` holds it."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii")


def read_key_file(path: Path) -> GivenKey | None:
    """Return the key in `path`, None where there is no such file. Raises: NotPermittedError, UnreachableError, UsageError."""
    found = read_private(path)
    if found is None:
        return None
    data, mode = found
    if mode & 0o077:
        raise NotPermittedError(
            f"{path} can be read by others (mode {mode:04o})",
            why="a master key that somebody else may have read protects nothing",
            fix=f"`chmod 600 {path}`, then `llmcp key rotate --master`, and rotate the provider keys if the machine is shared",
            code="master-key-open",
        )
    text = data.decode("ascii", "replace").strip()
    if _raw(text) is None:
        raise UsageError(
            f"{path} holds no master key",
            why="it must be 32 bytes in base64 or hex",
            fix="put the right file back from a backup",
            code="master-key",
        )
    return GivenKey(text)


def _raw(text: str) -> bytes | None:
    """Return the 32 bytes that `text` spells in hex or base64 (either alphabet, padded or not), or None."""
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text) if text.isalnum() else None
        key = base64.b64decode(text.rstrip("=").translate(str.maketrans("-_", "+/")) + "=", validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == KEY_BYTES else None
