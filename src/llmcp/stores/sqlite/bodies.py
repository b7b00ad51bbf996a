"""Kept bodies in SQLite: each sealed by itself, under a key that is not in the file.

Rules:
1. A body's name is `body:` and 32 hex digits of HMAC-SHA256(salt, body); the salt is random and lies inside the seal.
2. The seal is AES-256-GCM with a fresh nonce, bound to the name; what is sealed is a header in JSON, a newline, and the body,
   compressed together.
3. The key is fetched when it is first needed and never shown.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.core.bodies import Body
from llmcp.core.records import Bodies
from llmcp.errors import ConflictError
from llmcp.stores.sqlite.file import connect, translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from llmcp.core.bodies import Kept

KEY_NAME: Final = "records/bodies-key"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_NAME_DIGITS: Final = 32


class _Header(msgspec.Struct):
    salt: str
    content_type: str
    content_encoding: str
    truncated: bool


class SqliteBodies:
    """A `BodyStore` in the store's file. `key` returns the 32 bytes; it may block and raise our errors."""

    def __init__(self, path: Path, key: Callable[[], bytes]) -> None:
        self._path = path
        self._key = key
        self._cipher: AESGCM | None = None

    def keep(self, time: str, kept: Kept) -> Bodies:
        """Seal and store the bodies; return their names. Raises: UnreachableError, with nothing stored."""
        sealed = [("", b"") if body is None else self._seal(body) for body in (kept.request, kept.response)]
        rows = [(ref, time, data) for ref, data in sealed if ref]
        if rows:
            with translated(self._path), closing(connect(self._path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO bodies VALUES (?, ?, ?)", rows)
                connection.execute("COMMIT")
        return Bodies(sealed[0][0], sealed[1][0])

    def read(self, ref: str) -> Body | None:
        """Return the body of that name, or None. Raises: ConflictError where it is not what its name says."""
        with translated(self._path), closing(connect(self._path, read_only=True)) as connection:
            found = connection.execute("SELECT sealed FROM bodies WHERE ref = ?", (ref,)).fetchone()
        return self._open(ref, found[0]) if found else None

    def opens(self, ref: str, sealed: bytes) -> bool:
        """Tell whether what is sealed is the body of that name. Raises: what fetching the key raises."""
        try:
            self._open(ref, sealed)
        except ConflictError:
            return False
        return True

    def _seal(self, body: Body) -> tuple[str, bytes]:
        salt = os.urandom(_SALT_BYTES)
        ref = _name(salt, body.data)
        header = msgspec.json.encode(_Header(salt.hex(), body.content_type, body.content_encoding, body.truncated))
        nonce = os.urandom(_NONCE_BYTES)
        return ref, nonce + self._aead().encrypt(nonce, zlib.compress(header + b"\n" + body.data, 1), ref.encode())

    def _open(self, ref: str, sealed: bytes) -> Body:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - 8 MB that only who reads bodies needs

        try:
            plain = zlib.decompress(self._aead().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], ref.encode()))
            head, _, data = plain.partition(b"\n")
            header = msgspec.json.decode(head, type=_Header)
        except (InvalidTag, zlib.error, msgspec.DecodeError, ValueError) as error:
            raise _damaged(ref) from error
        if not hmac.compare_digest(_name(bytes.fromhex(header.salt), data), ref):
            raise _damaged(ref)
        return Body(data, header.content_type, header.content_encoding, header.truncated)

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 8 MB, only where bodies are kept

            self._cipher = AESGCM(self._key())
        return self._cipher


def _name(salt: bytes, data: bytes) -> str:
    return f"body:{hmac.digest(salt, data, hashlib.sha256).hex()[:_NAME_DIGITS]}"


def _damaged(ref: str) -> ConflictError:
    return ConflictError(
        f"the kept body `{ref[:64]}` cannot be opened",
        why="it was altered, or sealed with another key",
        fix="`llmcp audit verify` says what else is damaged",
        code="body-damaged",
    )
