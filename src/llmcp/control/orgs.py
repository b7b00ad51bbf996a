"""The use cases behind `org create|list|show|set|remove`.

Rules:
1. The org `default` is there from the start; it can be neither removed nor disabled.
2. A disabled org's tokens prove nothing until it is enabled again.
3. An org with apps or valid tokens is not removed. What it left in the records stays under its name.
4. A time zone is an IANA name that this machine knows.
"""

from __future__ import annotations

import zoneinfo
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.control.naming import checked_name, checked_title, no_such, shown
from llmcp.core.identity import Org
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.control.change import Change
    from llmcp.ports.stores import IdentityStore


def create_org(store: IdentityStore, change: Change, name: str, *, title: str = "", time_zone: str = "UTC") -> Org:
    """Create an org. Raises: UsageError, ConflictError."""
    org = Org(name=checked_name(name, "org"), title=checked_title(title), time_zone=checked_zone(time_zone), created=change.time)
    store.add_org(org, change.record("org.create", name, org=name, title=title, time_zone=time_zone))
    return org


def find_org(store: IdentityStore, name: str) -> Org:
    """Return an org. Raises: NotFoundError."""
    found = store.orgs(name)
    if not found:
        raise no_such("org", name, (org.name for org in store.orgs()), "llmcp org list")
    return found[0]


def set_org(
    store: IdentityStore,
    change: Change,
    name: str,
    *,
    title: str | None = None,
    time_zone: str | None = None,
    enabled: bool | None = None,
) -> tuple[Org, Org]:
    """Change what is not None; return the org before and after. Nothing is written where nothing differs.

    Raises: NotFoundError, UsageError, ConflictError.
    """
    before = find_org(store, name)
    after = msgspec.structs.replace(
        before,
        title=before.title if title is None else checked_title(title),
        time_zone=before.time_zone if time_zone is None else checked_zone(time_zone),
        enabled=before.enabled if enabled is None else enabled,
    )
    if after != before:
        store.set_org(after, change.record("org.set", name, org=name, **differences(before, after)))
    return before, after


def remove_org(store: IdentityStore, change: Change, name: str) -> Org:
    """Remove an org; return what it was. Raises: NotFoundError, ConflictError."""
    org = find_org(store, name)
    store.remove_org(name, change.record("org.remove", name, org=name))
    return org


def org_document(org: Org) -> dict[str, Any]:
    """Return what is shown of an org."""
    return {
        "name": org.name, "title": org.title, "time_zone": org.time_zone, "enabled": org.enabled, "created": org.created,
    }  # fmt: skip


def checked_zone(name: str) -> str:
    """Return `name`, an IANA time zone. Raises: UsageError."""
    known = zoneinfo.available_timezones() | {"UTC"}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no time zone `{shown(name)}`",
            why="expected an IANA name that this machine knows",
            fix=f"did you mean `{near[0]}`?" if near else "write for example `UTC` or `Europe/Berlin`",
            code="bad-time-zone",
        )
    return name


def differences(before: msgspec.Struct, after: msgspec.Struct) -> dict[str, str]:
    """Return the fields that differ, each as `old -> new`, for a record and for a person."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    return {name: f"{_word(old[name])} -> {_word(new[name])}" for name in old if old[name] != new[name]}


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) or '""'
