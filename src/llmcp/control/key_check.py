"""What a provider's answer to the cheapest authenticated call says about a key.

Rules:
1. Only what proves the key good is called valid; an answer that comes without a key too proves nothing.
2. No word of the provider's is repeated: its error may quote the key. Status, and what that status means there.
3. `usable` decides the exit code: a key that is known but may not make this very call counts as usable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """How a key fared."""

    VALID = "valid"
    LIMITED = "limited"
    UNPROVEN = "unproven"
    REFUSED = "refused"
    NO_QUOTA = "no_quota"
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    ODD = "odd"
    SOURCE_FAILED = "source_failed"


USABLE: Final = frozenset({State.VALID, State.LIMITED, State.UNPROVEN})


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer. `error_type` is AWS's `x-amzn-errortype`; `body` its first bytes."""

    status: int
    body: bytes = b""
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell a person."""

    state: State
    said: str

    @property
    def usable(self) -> bool:
        """Tell whether requests may be sent with this key."""
        return self.state in USABLE


_UNKNOWN_KEY: Final = (
    b"api_key_invalid", b"api key not valid", b"invalid api key", b"invalid_api_key", b"incorrect api key", b"api_key_expired",
    b"unrecognizedclient", b"invalidsignature", b"expiredtoken", b"invalidclienttokenid",
)  # fmt: skip
_NO_MONEY: Final = (b"insufficient_quota", b"credit balance", b"billing", b"insufficient balance", b"out of credits", b"payment")
_NARROW: Final = (b"missing scope", b"insufficient permission", b"accessdenied")


def judge(answer: Answer) -> Verdict:
    """Return what `answer` says of the key that was on the request."""
    code = answer.status
    text = (answer.body + answer.error_type.encode("latin-1", "replace")).lower()
    if 200 <= code < 300:  # noqa: PLR2004 - HTTP's classes
        if _is_json(answer.body):
            return Verdict(State.VALID, f"valid (HTTP {code})")
        return Verdict(
            State.ODD, f"answered oddly: HTTP {code}, but not JSON; something else than the provider may stand at this address"
        )
    if code == 401 or (code in {400, 403} and _has(text, _UNKNOWN_KEY)):  # noqa: PLR2004 - HTTP's classes
        return Verdict(
            State.REFUSED, f"refused (HTTP {code}): the provider does not take this key; it is mistyped, revoked or expired"
        )
    if code == 402 or (code in {400, 403, 429} and _has(text, _NO_MONEY)):  # noqa: PLR2004 - HTTP's classes
        return Verdict(
            State.NO_QUOTA, f"no quota (HTTP {code}): the key is known, but its account has no credit or no quota left"
        )
    if code == 403:  # noqa: PLR2004 - HTTP's classes
        if _has(text, _NARROW):
            return Verdict(
                State.LIMITED, f"known (HTTP {code}): the key is genuine but may not make this call; models may still answer it"
            )
        return Verdict(
            State.REFUSED, f"refused (HTTP {code}): not allowed from here, or not with this key (region, address, permissions)"
        )
    if code == 429:  # noqa: PLR2004 - HTTP's classes
        return Verdict(
            State.RATE_LIMITED, f"too many requests (HTTP {code}): the provider does not say more; try again in a minute"
        )
    if 300 <= code < 400:  # noqa: PLR2004 - HTTP's classes
        return Verdict(State.ODD, f"answered oddly: HTTP {code}, a redirect, which is not followed with a key; check `base_url`")
    if code in {404, 405}:
        return Verdict(State.ODD, f"answered oddly: HTTP {code}; check `base_url`, resource and region")
    if code >= 500:  # noqa: PLR2004 - HTTP's classes
        return Verdict(
            State.UNREACHABLE, f"the provider has trouble (HTTP {code}): this says nothing about the key; try again later"
        )
    return Verdict(State.ODD, f"answered oddly: HTTP {code}")


def doubted(verdict: Verdict, without_key: Answer | None) -> Verdict:
    """Return `verdict`, unless the same call was answered as well without a key."""
    if verdict.state is State.VALID and without_key is not None and judge(without_key).state is State.VALID:
        return Verdict(State.UNPROVEN, "not proven: the provider answers this call without a key too; send a request to know")
    return verdict


def unreachable(why: str) -> Verdict:
    """Return the verdict where there was no answer."""
    return Verdict(State.UNREACHABLE, f"unreachable: {why}")


def _has(text: bytes, words: tuple[bytes, ...]) -> bool:
    return any(word in text for word in words)


def _is_json(body: bytes) -> bool:
    """Tell whether `body`, perhaps cut, is a JSON object or list."""
    start = body.lstrip()[:1]
    if start not in {b"{", b"["}:
        return False
    try:
        json.loads(body)
    except ValueError:
        return len(body) >= BODY_BYTES
    return True


BODY_BYTES: Final = 64 * 1024
"""As much of an answer as is read."""
