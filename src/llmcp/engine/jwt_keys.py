"""The keys of an issuer: a JWKS document (RFC 7517) read into what may verify a signature, and what it was not fit for.

Rules:
1. A key verifies the algorithms of its own type and curve, and of its `alg` alone where it names one; never what a token says.
2. Only public signature keys count: no secrets (`oct`), no private halves, no `use` but `sig`, no `key_ops` without `verify`.
   Issuers publish keys for other purposes too; those are no fault.
3. An RSA key has 2048 to 8192 bits.
4. A key that does not fit is left out and named; the others stand. A document that is none raises.
5. PyJWT and `cryptography` are imported when keys are read, not before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BY_TYPE: Final[Mapping[tuple[str, str], tuple[str, ...]]] = MappingProxyType(
    {
        ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        ("EC", "P-256"): ("ES256",),
        ("EC", "P-384"): ("ES384",),
        ("EC", "P-521"): ("ES512",),
        ("OKP", "Ed25519"): ("EdDSA",),
    }
)
_RSA_BITS: Final = (2048, 8192)
_SHOWN: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class VerifyingKey:
    """One public key, and the algorithms it is good for. `kid` is "" where the issuer names none."""

    kid: str
    algorithms: frozenset[str]
    public: Any

    def __repr__(self) -> str:
        """Say which it is."""
        return f"VerifyingKey({self.kid!r}, {sorted(self.algorithms)})"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A key that was not taken, and why. `faulty`: it is wrong; else it is right, and for another purpose."""

    key: str
    why: str
    faulty: bool = True


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer at one time. `digest` tells two sets apart."""

    keys: tuple[VerifyingKey, ...] = ()
    digest: bytes = b""
    left_out: tuple[LeftOut, ...] = ()

    def knows(self, kid: str) -> bool:
        """Tell whether a key bears this id."""
        return any(key.kid == kid for key in self.keys)

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the one key that may verify: by its id, else the only one of its kind. None where there is none or several."""
        fit = [key for key in self.keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
        return fit[0] if len(fit) == 1 else None


NO_KEYS: Final = KeySet()


def read_keys(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """Read a JWKS document for the `algorithms` that settings allow. Raises: UnreachableError where it is none."""
    try:
        decoded = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise _no_keys("it is not JSON") from None
    listed = decoded.get("keys") if isinstance(decoded, dict) else None
    if not isinstance(listed, list):
        raise _no_keys("it has no list `keys`")
    allowed = frozenset(algorithms)
    keys: list[VerifyingKey] = []
    left_out: list[LeftOut] = []
    for entry in listed:
        taken = _read_key(entry, allowed)
        if isinstance(taken, VerifyingKey):
            keys.append(taken)
        else:
            left_out.append(taken)
    return KeySet(tuple(keys), hashlib.sha256(document).digest(), tuple(left_out))


def _no_keys(why: str) -> UnreachableError:
    return UnreachableError(
        "the issuer's keys cannot be read", why=why, fix="check `auth.jwt.jwks_uri`: it must lead to a JWKS document", code="jwks"
    )


def _read_key(entry: Any, allowed: frozenset[str]) -> VerifyingKey | LeftOut:  # noqa: ANN401 - any JSON value
    if not isinstance(entry, dict):
        return LeftOut("a key", "it is not an object")
    name = _name(entry)
    if "d" in entry:
        return LeftOut(name, "it is a private key, which everybody can read now")
    kid = entry.get("kid", "")
    if not isinstance(kid, str):
        return LeftOut(name, "its id is not text")
    if other := _other_purpose(entry):
        return LeftOut(name, other, faulty=False)
    good_for = _BY_TYPE.get((_text(entry, "kty"), _text(entry, "crv")), ())
    named = _text(entry, "alg")
    algorithms = allowed.intersection(good_for if not named else {named}.intersection(good_for))
    if not algorithms:
        return LeftOut(name, "`auth.jwt.algorithms` has none that it is good for", faulty=False)
    public = _public(entry, min(algorithms))
    return LeftOut(name, public) if isinstance(public, str) else VerifyingKey(kid, algorithms, public)


def _other_purpose(entry: dict[str, Any]) -> str:
    """Return for what else a key is, "" where it is for signatures."""
    if entry.get("use", "sig") != "sig":
        return "it is not for signatures"
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return "its operations do not include `verify`"
    return ""


def _public(entry: dict[str, Any], algorithm: str) -> Any:  # noqa: ANN401 - a key of `cryptography`, or why there is none
    import jwt  # noqa: PLC0415 - with `cryptography` 60 ms, for those alone who have an issuer
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        public = jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, OverflowError):
        return "its numbers are no key"
    if entry["kty"] == "RSA" and not _RSA_BITS[0] <= public.key_size <= _RSA_BITS[1]:
        return f"it has {public.key_size} bits, and {_RSA_BITS[0]} to {_RSA_BITS[1]} are taken"
    return public


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name, "")
    return value if isinstance(value, str) else "?"


def _name(entry: dict[str, Any]) -> str:
    kid = entry.get("kid")
    shown = kid if isinstance(kid, str) and kid.isprintable() else ""
    return f"key `{shown[:_SHOWN]}`" if shown else "a key without an id"
