"""JSON Web Tokens of one OIDC issuer, taken for virtual keys: recognised cheaply, verified wholly, remembered until they end.

Rules:
1. A token is ours to judge when it has three parts (or more: then it is refused, and does not pass for another's key) and its unverified `iss` is the configured issuer, letter by letter. Whoever
   else's JWT it is, it is its bearer's own key and not our business.
2. The algorithm is one of the settings' (never `none`, never an HMAC) and of the key's; the token only picks among them.
3. The key is found by `kid` in the issuer's set, and nowhere else: `jwk`, `jku`, `x5u` and `x5c` in a token's head are not read.
   Without a `kid` it must be the only key of its kind.
4. What a head calls critical (`crit`), or a `typ` of another purpose (a logout token), is refused.
5. Without a configured audience nothing is proven: the issuer makes tokens for others too.
6. An unknown `kid` asks for the keys anew; `again` says that they are on their way.
7. A verified token is remembered by its SHA-256 until it ends; a verifier holds one key set, so new keys are a new memory.
8. Time is passed in. Nothing raises, and no reason quotes the token.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.core.identity import Identity, NotProven
from llmcp.core.records import timestamp
from llmcp.engine.jwt_claims import check_times, is_for, subject_of
from llmcp.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.settings import JwtSettings
    from llmcp.engine.jwt_keys import KeySet, VerifyingKey

MAX_TOKEN: Final = 16_384
"""Characters. Entra's with 200 groups have some 10,000."""
_REMEMBERED: Final = 4096
_TYPES: Final = frozenset(("", "jwt", "at+jwt", "application/jwt", "application/at+jwt"))
_FALSE: Final = NotProven("the signature is not the issuer's")
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""RFC 7515 sections 2 and 7.1: base64url without padding. Libraries let more through, and differ in what."""
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


class _Issued(msgspec.Struct, gc=False):
    iss: str


class _Head(msgspec.Struct, gc=False):
    """`kid` None: the head has none. Any value, so that a kid that is no text is told from none."""

    alg: str
    kid: Any = None
    typ: str = ""
    crit: Any = None
    b64: bool = True


_ISSUED: Final = msgspec.json.Decoder(_Issued)
_HEAD: Final = msgspec.json.Decoder(_Head)
_CLAIMS: Final = msgspec.json.Decoder(dict[str, Any])


class JwtBearer:
    """A `BearerVerifier` over one snapshot of the issuer's keys.

    `ask_keys` is called for a token of an unknown key; it returns whether newer keys are on their way.
    """

    def __init__(self, settings: JwtSettings, keys: KeySet, ask_keys: Callable[[], bool]) -> None:
        self._settings = settings
        self._keys = keys
        self._ask_keys = ask_keys
        self._allowed = frozenset(settings.algorithms)
        # Entries are (end of validity with leeway, identity); weightless keys: 32 bytes each.
        self._known: Recent[tuple[float, Identity]] = Recent(_REMEMBERED // 2)

    @property
    def keys(self) -> KeySet:
        """The keys that this verifier goes by."""
        return self._keys

    def recognises(self, token: str) -> bool:
        """Tell whether `token` claims to be of this issuer."""
        if token.count(".") < 2:  # noqa: PLR2004 - the parts of a compact JWS, RFC 7515 section 7.1; more are for `verify` to refuse
            return False
        try:
            return _ISSUED.decode(_decoded(token.split(".", 2)[1])).iss == self._settings.issuer
        except (ValueError, RecursionError):
            return False

    def verify(self, token: str, now: datetime) -> Identity | NotProven:
        """Return what `token` proves at `now` (aware). Never raises."""
        if not self._settings.audience:
            return NotProven("`auth.jwt.audience` is not set, so no token of the issuer is known to be for this service")
        if len(token) > MAX_TOKEN:
            return NotProven(f"the token is longer than {MAX_TOKEN} characters")
        # Never raises: lone surrogates are what a head read as text may hold.
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        seconds = now.timestamp()
        known = self._known.get(digest)
        if known is not None and seconds < known[0]:
            return known[1]
        proven = self._verify(token, seconds)
        if isinstance(proven, NotProven):
            return proven
        self._known.put(digest, proven)
        return proven[1]

    def _verify(self, token: str, seconds: float) -> tuple[float, Identity] | NotProven:
        key = self._key(token)
        if isinstance(key, NotProven):
            return key
        claims = _signed_claims(token, *key)
        if claims is None:
            return _FALSE
        settings = self._settings
        if claims.get("iss") != settings.issuer:
            return NotProven("the token is another issuer's")
        if not is_for(claims, settings.audience):
            return NotProven("the token was made for another audience")
        end = check_times(claims, seconds, settings.leeway_s)
        if isinstance(end, NotProven):
            return end
        end += settings.leeway_s
        subject = subject_of(claims, settings.claims, key_id(key[0].kid))
        if isinstance(subject, NotProven):
            return subject
        return end, Identity(subject, expires=timestamp(datetime.fromtimestamp(end, UTC)))

    def _key(self, token: str) -> tuple[VerifyingKey, str] | NotProven:
        """Return the key that must have signed, and by which algorithm."""
        if _COMPACT.fullmatch(token) is None:
            return NotProven("the token is not in the compact form of three parts")
        try:
            head = _HEAD.decode(_decoded(token.split(".", 1)[0]))
        except (ValueError, RecursionError):
            return NotProven("the token's head cannot be read")
        if head.alg not in self._allowed:
            return NotProven("the token's algorithm is not one of `auth.jwt.algorithms`")
        if head.crit is not None or not head.b64 or head.typ.lower() not in _TYPES:
            return NotProven("the token is of a kind that is not taken here")
        if head.kid is not None and not isinstance(head.kid, str):
            return NotProven("the token's `kid` is not text")
        found = self._keys.find(head.kid, head.alg)
        if found is not None:
            return found, head.alg
        if head.kid is not None and self._keys.knows(head.kid):
            return NotProven("the token's key is not one for its algorithm")
        return NotProven(
            "the token's key is none of the issuer's" if self._keys.keys else "the issuer's keys are not known yet",
            again=self._ask_keys() or not self._keys.keys,
        )


def key_id(kid: str) -> str:
    """Return the `key_id` of who came with a token signed by this key."""
    shown = "".join(char if char.isprintable() else "?" for char in kid[:64])
    return f"jwt:{shown}"


def _decoded(part: str) -> bytes:
    """Decode base64url, leniently: what verification would take must be recognised. Raises: ValueError."""
    data = part.encode("ascii").translate(_URL_SAFE, b" \t=")
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def _signed_claims(token: str, key: VerifyingKey, algorithm: str) -> dict[str, Any] | None:
    """Return the claims if `key` signed them, else None. PyJWT checks the signature and the form, and no claim."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - loaded with the keys
    from jwt import PyJWS, PyJWTError  # noqa: PLC0415

    try:
        payload = PyJWS(algorithms=(algorithm,)).decode_complete(token, key.public, algorithms=(algorithm,))["payload"]
        return _CLAIMS.decode(payload)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, OverflowError, RecursionError):
        return None
