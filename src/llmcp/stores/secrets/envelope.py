"""The encrypted file as a value: what stands in `credentials.enc`, read and written as text.

`{"format": "llmcp-secrets", "version": 1, "key": {how it comes from the master key}, "check": SEALED, "entries": {NAME: SEALED}}`,
each SEALED the base64 of nonce, ciphertext and tag. Names are in clear, secrets are not.

Rules:
1. Every entry is sealed on its own with a fresh nonce. Its name and the file's version are bound in, so that no entry opens in the
   place of another.
2. `check` is a known value under the name '', which no secret can have: it tells a wrong key from a damaged entry.
3. No error quotes the file.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmcp.errors import UnreachableError
from llmcp.stores.secrets.master import Derivation, GivenKey, MasterKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: Final = "llmcp-secrets"
VERSION: Final = 1
_CHECK: Final = b"this is the right master key"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The file as it is on disk: nothing in it is opened yet."""

    how: Derivation
    check: bytes
    entries: Mapping[str, bytes]

    def master(self, key: GivenKey) -> MasterKey | None:
        """Return what opens this file with `key`, or None where it is another file's key."""
        master = key.master(self.how)
        return master if master is not None and self.fits(master) else None

    def fits(self, master: MasterKey) -> bool:
        """Tell whether `master` opens this file."""
        return master.open(self.check, bound_to("")) == _CHECK

    def opened(self, master: MasterKey, name: str) -> bytes:
        """Return a secret that is here. Raises: UnreachableError where its bytes were altered."""
        secret = master.open(self.entries[name], bound_to(name))
        if secret is None:
            raise UnreachableError(
                f"the secret `{name}` does not open",
                why="the master key is right, so the entry was altered or moved",
                fix="restore `credentials.enc` from a backup, or set that key again",
                code="secret-damaged",
            )
        return secret


def sealed(key: GivenKey, secrets: Mapping[str, bytes]) -> tuple[Envelope, MasterKey]:
    """Seal `secrets` for a new file of `key`, and return the key that was made for it. Raises: UsageError for a key that is too short."""
    how = key.derivation()
    master = key.master(how)
    if master is None:
        raise ValueError("a key fits its own derivation")
    entries = {name: master.seal(secret, bound_to(name)) for name, secret in secrets.items()}
    return Envelope(how, master.seal(_CHECK, bound_to("")), entries), master


def bound_to(name: str) -> bytes:
    """Return the associated data of an entry."""
    return f"{FORMAT}\0{VERSION}\0{name}".encode()


def render(envelope: Envelope) -> bytes:
    """Write an envelope as text."""
    how = envelope.how
    key: dict[str, Any] = {"kind": how.kind}
    if how.kind == "scrypt":
        key |= {"salt": _text(how.salt), "cost": list(how.cost)}
    entries = {name: _text(entry) for name, entry in sorted(envelope.entries.items())}
    document = {"format": FORMAT, "version": VERSION, "key": key, "check": _text(envelope.check), "entries": entries}
    return json.dumps(document, indent=1).encode() + b"\n"


def parse(data: bytes, path: Path) -> Envelope:
    """Read an envelope. Raises: UnreachableError where it is none, or of a newer version."""
    try:
        return _parsed(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError):
        pass  # said outside: the exception at hand quotes the file
    raise UnreachableError(
        f"{path} is damaged, or of a newer llmcp",
        why=f"expected JSON of format {FORMAT}, version {VERSION}",
        fix="it was left as it is; restore a backup, or upgrade llmcp",
        code="secrets-damaged",
    )


def _parsed(document: Any) -> Envelope:  # noqa: ANN401 - whatever stands in the file
    if document["format"] != FORMAT or document["version"] != VERSION:
        raise ValueError("not ours")
    key = document["key"]
    if key["kind"] == "raw":
        how = Derivation("raw")
    elif key["kind"] == "scrypt":
        n, r, p = (int(cost) for cost in key["cost"])
        how = Derivation("scrypt", _bytes(key["salt"]), (n, r, p))
    else:
        raise ValueError("unknown derivation")
    return Envelope(how, _bytes(document["check"]), {str(name): _bytes(entry) for name, entry in document["entries"].items()})


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
