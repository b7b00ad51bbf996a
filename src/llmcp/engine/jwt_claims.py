"""What the claims of a verified token say: for whom it is, for how long, and who its bearer is.

Rules:
1. `exp` must be there; `nbf` and `iat` may. Times are numbers, compared with the `now` that is passed in, give or take the leeway.
2. The audience must name one of ours, as text or in a list.
3. A claim's name is looked for as it stands first, then its dots lead into objects.
4. A claim that is there but cannot be read proves nothing: a group that was left out could be the one that a rule denies.
5. Without the org claim nothing is proven, unless settings name none: then the org is `default`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from llmcp.core.identity import DEFAULT_ORG, NotProven
from llmcp.core.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmcp.core.settings import JwtClaimSettings

_LATEST: Final = 253_402_300_800 - 301
"""The last second that a timestamp with four digits for the year can say, less the largest leeway."""
_LENGTH: Final = 256
_GROUPS: Final = 512


def check_times(claims: Mapping[str, Any], now: float, leeway: float) -> NotProven | float:
    """Return when the token ends (POSIX, without leeway), or why it is not good at `now`."""
    times: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        if name not in claims:
            continue
        value = claims[name]
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
            or not 0 <= value <= _LATEST
        ):
            return NotProven(f"the token's `{name}` is not a time")
        times[name] = value
    if "exp" not in times:
        return NotProven("the token has no `exp`: one that never ends is not taken")
    end = times["exp"]
    if now >= end + leeway:
        return NotProven("the token has expired")
    if times.get("nbf", 0) > now + leeway:
        return NotProven("the token is not valid yet")
    issued = times.get("iat", 0)
    if issued > now + leeway:
        return NotProven("the token was issued in the future")
    if issued >= end:
        return NotProven("the token ended before it was issued")
    return end


def is_for(claims: Mapping[str, Any], audience: Sequence[str]) -> bool:
    """Tell whether the token was made for one of `audience`."""
    said = claims.get("aud")
    named = said if isinstance(said, list) else [said]
    return any(isinstance(name, str) and name in audience for name in named)


def subject_of(claims: Mapping[str, Any], names: JwtClaimSettings, key_id: str) -> Subject | NotProven:
    """Return who the bearer is, by the claims that settings name."""
    said: dict[str, str] = {}
    for field, name in (("org", names.org), ("app", names.app), ("user", names.user)):
        value = find_claim(claims, name) if name else ""
        if value is None:
            value = ""
        if not _is_name(value):
            return NotProven(f"the claim `{name}` is not a name of at most {_LENGTH} characters")
        said[field] = value
    if names.org and not said["org"]:
        return NotProven(f"the token has no claim `{names.org}`, which names the org")
    groups = _groups(find_claim(claims, names.groups) if names.groups else None)
    if groups is None:
        return NotProven(f"the claim `{names.groups}` is not a list of at most {_GROUPS} names")
    return Subject(said["org"] or DEFAULT_ORG, said["app"], said["user"], groups, key_id)


def find_claim(claims: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a claim is any JSON value
    """Return the claim, None where there is none: a name with dots (a URL) as it stands, else the way into objects."""
    if name in claims:
        return claims[name]
    at = name.find(".")
    while at >= 0:
        inner = claims.get(name[:at])
        if isinstance(inner, dict):
            found = find_claim(inner, name[at + 1 :])
            if found is not None:
                return found
        at = name.find(".", at + 1)
    return None


def _groups(said: Any) -> tuple[str, ...] | None:  # noqa: ANN401
    if said is None:
        return ()
    listed = said.split() if isinstance(said, str) else said
    if not isinstance(listed, list) or len(listed) > _GROUPS or not all(_is_name(name) and name for name in listed):
        return None
    return tuple(listed)


def _is_name(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str) and len(value) <= _LENGTH and value.isprintable()
