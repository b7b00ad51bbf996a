"""Signed notes (C2SP signed-note) and the checkpoint text inside of them (C2SP tlog-checkpoint).

Rules:
1. A note is its text (which ends with a newline), an empty line, and lines `— NAME BASE64(key id, signature)`.
2. The signature covers the text alone, with its last newline. The key's id is the first four bytes of
   SHA-256(name, 0x0A, 0x01, public key), so that a name belongs to its key.
3. `open_note` believes the first line that names the key and its id: a bad signature there refuses the whole note.
4. A checkpoint has three lines: the log's origin, the number of leaves, the root in base64. Extension lines are let pass.
5. Signing and checking are the caller's: this module knows the form and no cryptography beyond a hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Verify = Callable[[bytes, bytes, bytes], bool]
    """Tells whether (public key, signature, message) belong together."""

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_DASH: Final = "— "
_MAX_BYTES: Final = 1 << 20
_MAX_SIGNATURES: Final = 100
_ROOT_BYTES: Final = 32


class NoteError(LlmcpError):
    """A note, a key or a checkpoint that is not what it says."""

    exit_code = 1
    default_code = "bad-note"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public Ed25519 key and the name it signs under."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the four bytes that name the key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """Return the `vkey` form: name, id in hexadecimal and key, joined by `+`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class CheckpointText:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def is_name(name: str) -> bool:
    """Tell whether `name` may stand in a signature line: printable, no space, no plus."""
    return bool(name) and name.isprintable() and "+" not in name and not any(map(str.isspace, name))


def parse_vkey(text: str) -> VerifierKey:
    """Read the `vkey` form. Raises: NoteError."""
    parts = text.strip().split("+", 2)
    raw = _from_base64(parts[2]) if len(parts) == 3 else b""  # noqa: PLR2004 - name, id, key
    if not is_name(parts[0]) or len(raw) != _KEY_BYTES + 1 or raw[:1] != _ED25519:
        raise _bad("this is no public key of a log", "expected NAME+ID+BASE64 of an Ed25519 key")
    key = VerifierKey(parts[0], raw[1:])
    if key.text != text.strip():
        raise _bad("this public key of a log was altered", "its id does not belong to its name and key")
    return key


def seal(text: str, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """Return the signed note over `text`. Raises: NoteError where the text cannot be a note's."""
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise _bad("this text cannot be signed as a note", "it must end with a newline and have no control characters")
    line = base64.b64encode(key.id + sign(text.encode())).decode()
    return f"{text}\n{_DASH}{key.name} {line}\n"


def open_note(note: str, key: VerifierKey, verify: Verify) -> str:
    """Return the text that `key` signed. Raises: NoteError where it did not, or where the note is malformed."""
    text, lines = _split(note)
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = _from_base64(encoded)
        if not line.startswith(_DASH) or not is_name(name) or len(raw) <= _ID_BYTES:
            raise _bad("the note is malformed", "a signature line is not `— NAME BASE64`")
        if name == key.name and raw[:_ID_BYTES] == key.id:
            if verify(key.public, raw[_ID_BYTES:], text.encode()):
                return text
            raise _bad("the note's signature is wrong", f"it is not `{key.name}`'s over this text", code="bad-signature")
    raise _bad("the note is not signed by this key", f"no line of `{key.name}`, id {key.id.hex()}", code="unknown-key")


def _split(note: str) -> tuple[str, list[str]]:
    if any("\ud800" <= c <= "\udfff" for c in note[:_MAX_BYTES]):
        raise _bad("the note is malformed", "it is not UTF-8")
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n") or len(note) > _MAX_BYTES or any(c < " " and c != "\n" for c in note):
        raise _bad("the note is malformed", "expected a text, an empty line and signatures")
    lines = signatures[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise _bad("the note is malformed", f"more than {_MAX_SIGNATURES} signatures")
    return text + "\n", lines


def parse_checkpoint(text: str) -> CheckpointText:
    """Read the text of a checkpoint. Raises: NoteError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):  # noqa: PLR2004 - three lines, each ended
        raise _bad("this is no checkpoint", "expected an origin, a size and a root, a line each")
    origin, size, root = lines[:3]
    raw = _from_base64(root)
    if not size.isascii() or not size.isdecimal() or (size[0] == "0" and size != "0") or len(size) > 19:  # noqa: PLR2004 - 2**63
        raise _bad("this is no checkpoint", "its size is no number of leaves")
    if len(raw) != _ROOT_BYTES:
        raise _bad("this is no checkpoint", "its root is no SHA-256 in base64")
    return CheckpointText(origin, int(size), raw)


def peek(note: str) -> CheckpointText:
    """Return what a note says without asking who signed it. Raises: NoteError where it is malformed."""
    return parse_checkpoint(_split(note)[0])


def _from_base64(text: str) -> bytes:
    """Return the bytes; nothing where `text` is not their one standard form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def _bad(what: str, why: str, code: str = "") -> NoteError:
    return NoteError(what, why=why, fix="compare with a copy from elsewhere (an anchor, a backup)", code=code)


def split_notes(text: str) -> Iterator[str]:
    """Yield notes that stand one after the other: each is a text, an empty line and signature lines."""
    lines: list[str] = []
    signed = False
    for line in text.splitlines():
        if signed and not line.startswith("— "):
            yield "\n".join(lines) + "\n"
            lines, signed = [], False
        if lines or line:
            lines.append(line)
        signed = signed or (line.startswith("— ") and "" in lines)
    if signed:
        yield "\n".join(lines) + "\n"
