"""The form of a virtual key: `llmcp_<id>_<secret><checksum>`, all base62, 59 characters.

Rules:
1. The id (64 random bits) may be shown, the secret (208 random bits) and the checksum never; a token's id is `tok_<id>`.
2. The checksum is CRC-32 over every character before it, so a key that was cut, mistyped or case-changed is refused without a
   lookup. It proves nothing: the keyed digest does.
3. The digest is HMAC-SHA256 under the home's pepper over the exact characters. Without the pepper no digest can be made or tried.
4. Texts of others in which a key stands (a user agent, a model's name) are kept without the key's secret: see `masked`.
"""

from __future__ import annotations

import hmac
import re
from typing import Final
from zlib import crc32

PREFIX: Final = "llmcp_"
ID_PREFIX: Final = "tok_"
RANDOM_BYTES: Final = 34
"""How many random bytes `make` wants: 8 for the id, 26 for the secret."""

PEPPER_NAME: Final = "tokens/pepper"
"""The name under which the secret store keeps the pepper."""
PEPPER_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_BYTES: Final = 8
_ID_CHARS: Final = 11
_SECRET_CHARS: Final = 35
_CHECKSUM_CHARS: Final = 6
LENGTH: Final = len(PREFIX) + _ID_CHARS + 1 + _SECRET_CHARS + _CHECKSUM_CHARS

_ID: Final = re.compile(rf"[0-9A-Za-z]{{{_ID_CHARS}}}", re.ASCII)
_FORM: Final = re.compile(rb"llmcp_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}" % (_ID_CHARS, _SECRET_CHARS + _CHECKSUM_CHARS))
_UNDERSCORE: Final = r"(?:_|%(?:25)*5f)"
_KEY_INSIDE: Final = re.compile(rf"(llmcp{_UNDERSCORE}[0-9a-z]{{{_ID_CHARS}}}){_UNDERSCORE}[0-9a-z]+", re.ASCII | re.IGNORECASE)
_PAIRS: Final = tuple((high + low).encode() for high in _ALPHABET for low in _ALPHABET)


def make(random_bytes: bytes) -> tuple[str, str, str]:
    """Return the id, the prefix that may be shown, and the whole key, of `RANDOM_BYTES` random bytes. Raises: ValueError."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a virtual key is made of {RANDOM_BYTES} random bytes")
    part = _base62(random_bytes[:_ID_BYTES], _ID_CHARS)
    secret = _base62(random_bytes[_ID_BYTES:], _SECRET_CHARS)
    prefix = PREFIX + part
    body = f"{prefix}_{secret}"
    return ID_PREFIX + part, prefix, body + _checksum(body.encode()).decode()


def parse(text: str | bytes) -> str | None:
    """Return the id of the token that `text` claims to be, or None where it has not the form of a virtual key."""
    if isinstance(text, str):
        try:
            text = text.encode("ascii")
        except UnicodeEncodeError:
            return None
    if len(text) != LENGTH or _FORM.fullmatch(text) is None or _checksum(text[:-_CHECKSUM_CHARS]) != text[-_CHECKSUM_CHARS:]:
        return None
    return ID_PREFIX + text[len(PREFIX) : len(PREFIX) + _ID_CHARS].decode()


def digest(pepper: bytes, text: str | bytes) -> bytes:
    """Return the keyed hash of a virtual key: what is stored and compared."""
    return hmac.digest(pepper, text.encode() if isinstance(text, str) else text, "sha256")


def named(spelt: str) -> str | None:
    """Return the token id that a person means by an id, a shown prefix or a whole key; None where it is none of them."""
    if spelt.startswith(PREFIX) and len(spelt) == LENGTH:
        return parse(spelt)
    for known in (PREFIX, ID_PREFIX):
        if spelt.startswith(known) and _ID.fullmatch(part := spelt.removeprefix(known)):
            return ID_PREFIX + part
    return None


def masked(text: str) -> str:
    """Return `text` with the secret of every virtual key in it, in any letter case and percent-escaped or not, left out."""
    return _KEY_INSIDE.sub("\\1_…", text) if "_" in text or "%" in text else text


def _checksum(body: bytes) -> bytes:
    rest, low = divmod(crc32(body), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _base62(data: bytes, width: int) -> str:
    number = int.from_bytes(data)
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
