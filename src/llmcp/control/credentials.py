"""The use cases behind `key set|list|rotate|remove`.

Rules:
1. Provider, org and label name a credential: setting one that is there replaces its secret, another label adds one.
2. The secret is kept before the entry says so, under a name of its own each time: a crash in between leaves what was in force.
   What such a crash leaves behind is swept by a later write, once it is older than any command runs.
3. The entry and its control record hold ids, names and the hint; the secret is in the secret store alone.
4. A credential for a host that a client's path names (Azure) says which resources it may go to.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmcp.control.credential_forms import checked, hint
from llmcp.control.credential_sources import STORED, checked_source
from llmcp.control.naming import shown
from llmcp.core.credentials import CredentialEntry, secret_name
from llmcp.core.records import timestamp
from llmcp.errors import LlmcpError, NotFoundError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from llmcp.control.change import Change
    from llmcp.ports.stores import CredentialStore, SecretStore
    from llmcp.providers.catalog import Catalog, ProviderEntry

WEIGHT_MAX: Final = 1000
_RESOURCE: Final = re.compile(r"[a-z0-9-]{2,64}")
_LABEL_CHARS: Final = 64
_NAME_CHARS: Final = 20
_KEY_CHARS: Final = 4
_GRACE: Final = timedelta(hours=1)
_PREFIX: Final = "credential/"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks to be kept. `placed` says that the settings fix the provider's host."""

    provider: str
    org: str = ""
    label: str = ""
    source: str = STORED
    weight: int = 1
    resources: tuple[str, ...] = ()
    placed: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """What the use cases work with."""

    entries: CredentialStore
    secrets: SecretStore
    catalog: Catalog


def check_wanted(keys: Keys, wanted: Wanted) -> ProviderEntry:
    """Check all but the secret, before a person is asked for it; return the provider. Raises: NotFoundError, UsageError."""
    provider = keys.catalog.entries.get(wanted.provider)
    if provider is None:
        raise NotFoundError(
            f"there is no provider `{_shown(wanted.provider)}`",
            fix="`llmcp provider list` names them; one of your own needs `providers.NAME.base_url` and `dialect`",
            code="no-such-provider",
        )
    if provider.auth == "none":
        raise UsageError(
            f"{provider.name} takes no key", why="it is a local server without one", fix="use it as it is", code="keyless"
        )
    checked_source(wanted.source)
    if not 0 <= wanted.weight <= WEIGHT_MAX:
        raise UsageError(
            f"the weight {wanted.weight} is out of range", why=f"0 to {WEIGHT_MAX}; 0 keeps it unused", fix="change it"
        )
    if len(wanted.label) > _LABEL_CHARS or not wanted.label.isprintable():
        raise UsageError("the label cannot be taken", why=f"at most {_LABEL_CHARS} printable characters", fix="shorten it")
    _check_resources(provider, wanted)
    return provider


def set_key(keys: Keys, wanted: Wanted, secret: str, change: Change, fresh_id: str) -> tuple[CredentialEntry, bool]:
    """Keep a credential; return its entry and whether it stands in the place of an older one. `secret` is '' for other sources.

    Raises: NotFoundError, UsageError, and what the stores raise.
    """
    provider = check_wanted(keys, wanted)
    secret = checked(secret, provider, keys.catalog, force=wanted.force) if wanted.source == STORED else ""
    same = (wanted.provider, wanted.org, wanted.label)
    older = next((entry for entry in keys.entries.entries() if (entry.provider, entry.org, entry.label) == same), None)
    entry = CredentialEntry(
        id=older.id if older else fresh_id, provider=wanted.provider, org=wanted.org, label=wanted.label, source=wanted.source,
        weight=wanted.weight, resources=wanted.resources, hint=hint(secret), created=older.created if older else change.time,
        rotated=change.time if older else "",
    )  # fmt: skip
    _keep(keys, entry, secret, older, change, "key.set")
    return entry, older is not None


def rotate_key(keys: Keys, entry: CredentialEntry, secret: str, change: Change, *, force: bool = False) -> CredentialEntry:
    """Put `secret` in the place of the entry's. Raises: UsageError, and what the stores raise."""
    if entry.source != STORED:
        raise UsageError(
            f"{entry.id} is not in the secret store",
            why=f"its secret comes from `{entry.source}`",
            fix="change it there: the daemon reads `aws:` anew by itself, `env:` when it is started again",
            code="not-stored",
        )
    provider = keys.catalog.entries.get(entry.provider)
    if provider is None:
        raise NotFoundError(f"there is no provider `{entry.provider}` any more", fix=f"`llmcp key remove {entry.id}`")
    secret = checked(secret, provider, keys.catalog, force=force)
    newer = msgspec.structs.replace(entry, hint=hint(secret), rotated=change.time)
    _keep(keys, newer, secret, entry, change, "key.rotate")
    return newer


def remove_key(keys: Keys, entry: CredentialEntry, change: Change) -> None:
    """Remove a credential and its secret. Raises: NotFoundError, and what the stores raise."""
    keys.entries.remove(entry.id, change.record("key.remove", entry.id, org=entry.org, **_told(entry)))
    if entry.source == STORED:
        keys.secrets.delete(secret_name(entry))
    sweep(keys, change.now)


def find_keys(keys: Keys, name: str = "") -> tuple[CredentialEntry, ...]:
    """Return the entry with the id `name`, or those of the provider `name`, or all with ''. Raises: NotFoundError."""
    found = tuple(entry for entry in keys.entries.entries() if name in {"", entry.id, entry.provider})
    if name and not found:
        raise NotFoundError(
            f"there is no credential `{_shown(name)}`",
            why="it is neither the id of one nor a provider that has one",
            fix=f"`llmcp key list` names them; `llmcp key set {name[:64]}` adds one"
            if name in keys.catalog.entries
            else "`llmcp key list`",
            code="no-such-credential",
        )
    return found


def find_key(keys: Keys, name: str) -> CredentialEntry:
    """Return the one entry that `name` means. Raises: NotFoundError; UsageError where there are several."""
    found = find_keys(keys, name)
    if len(found) > 1:
        raise UsageError(
            f"{name} has {len(found)} credentials",
            why="say which",
            fix=" or ".join(f"`{entry.id}`" for entry in found),
            code="several",
        )
    return found[0]


def key_document(entry: CredentialEntry) -> dict[str, Any]:
    """Return what is shown of a credential."""
    document: dict[str, Any] = msgspec.to_builtins(entry)
    return document | {"resources": list(entry.resources)}


def sweep(keys: Keys, now: datetime) -> int:
    """Take away secrets that no entry names and no running command can be about to name; return how many."""
    named = {secret_name(entry) for entry in keys.entries.entries() if entry.source == STORED}
    oldest = _digits(timestamp(now - _GRACE))
    left = [name for name in keys.secrets.names() if name.startswith(_PREFIX) and name not in named]
    return sum(keys.secrets.delete(name) for name in left if _digits(name.rpartition("/")[2]) < oldest)


def _keep(keys: Keys, entry: CredentialEntry, secret: str, older: CredentialEntry | None, change: Change, action: str) -> None:
    record = change.record(action, entry.id, org=entry.org, **_told(entry))
    if entry.source == STORED:
        keys.secrets.set(secret_name(entry), secret.encode("ascii"))
    try:
        keys.entries.put(entry, record)
    except LlmcpError:
        if entry.source == STORED:
            with suppress(LlmcpError):
                keys.secrets.delete(secret_name(entry))
        raise
    with suppress(LlmcpError):  # it is done; what is left over is swept another time
        if older is not None and older.source == STORED and secret_name(older) != secret_name(entry):
            keys.secrets.delete(secret_name(older))
        sweep(keys, change.now)


def _check_resources(provider: ProviderEntry, wanted: Wanted) -> None:
    if any(_RESOURCE.fullmatch(resource) is None for resource in wanted.resources):
        raise UsageError(
            "a resource cannot be taken", why="its name is 2 to 64 of a-z, 0-9 and -", fix="see the path `/azure/RESOURCE`"
        )
    if wanted.resources and provider.host == "fixed":
        raise UsageError(f"{provider.name} has no resources", why="its host is fixed", fix="leave `--resource` out")
    if provider.host == "azure" and not wanted.resources and not wanted.placed:
        raise UsageError(
            "an Azure key needs `--resource`",
            why="the resource in a client's path names the host, and anybody can own one: the key goes only to those you name",
            fix="`llmcp key set azure --resource my-resource`, once for each",
            code="no-resource",
        )


def _told(entry: CredentialEntry) -> dict[str, str]:
    return {
        "provider": entry.provider, "label": entry.label, "source": entry.source, "weight": str(entry.weight),
        "resources": ",".join(entry.resources),
    }  # fmt: skip


def _shown(name: str) -> str:
    """Return what may be repeated of a name that nothing has: it may be a key, typed in the wrong place."""
    return shown(name) if len(name) <= _NAME_CHARS else shown(name[:_KEY_CHARS]) + "…"


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
