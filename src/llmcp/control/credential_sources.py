"""Entries into credentials: where each secret is read, and what happens where it cannot be.

Rules:
1. `stored` is the secret store, `env:NAME` the process's own environment, `aws:SECRET_ID[#KEY]` AWS Secrets Manager.
2. A source that fails keeps the last good value of the same entry, and is reported in words; without one the credential is left out.
3. One that fails never takes another with it.
4. A stored secret never changes under its name, so one that is known is not read again; other sources are asked each time.
5. What a source gives is checked as what a person types is: a secret that cannot travel is a problem, not a request that breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from llmcp.control.credential_forms import clean
from llmcp.core.credentials import Credential, secret_name
from llmcp.errors import LlmcpError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmcp.core.credentials import CredentialEntry
    from llmcp.ports.stores import SecretStore

type Source = Callable[[str], str]
"""Reads the secret that the rest of `env:…` or `aws:…` names. Raises: LlmcpError, without the secret."""

STORED: Final = "stored"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_AWS: Final = re.compile(r"[A-Za-z0-9/_+=.@:!-]{1,2048}(?:#[^\s#\x00-\x1f]{1,256})?")
_FORMS: Final = {"env": _VARIABLE, "aws": _AWS}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The secrets that a daemon holds. `problems` are in words, one a credential that could not be read anew."""

    credentials: tuple[Credential, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def outside(self) -> bool:
        """Tell whether a secret comes from where it may change without our change number."""
        return any(credential.entry.source != STORED for credential in self.credentials) or bool(self.problems)


def checked_source(source: str) -> str:
    """Return `source` as an entry spells it. Raises: UsageError."""
    scheme, _, rest = source.partition(":")
    form = _FORMS.get(scheme)
    if source == STORED or (form is not None and form.fullmatch(rest)):
        return source
    raise UsageError(
        "the source names nothing that llmcp can read",
        why="expected `stored`, `env:NAME` or `aws:SECRET_ID[#KEY]`",
        fix="the key itself is never an option's value: leave `--source` out and give it on the prompt",
        code="bad-source",
    )


def resolve(entry: CredentialEntry, secrets: SecretStore, sources: Mapping[str, Source]) -> Credential:
    """Read one credential's secret. Raises: LlmcpError."""
    if entry.source == STORED:
        found = secrets.get(secret_name(entry))
        if found is None:
            raise NotFoundError(
                f"the secret of {named(entry)} is not in the secret store",
                why="it was kept in another keychain or file, or was taken away there",
                fix=f"`llmcp key rotate {entry.id}` stores it anew",
                code="no-secret",
            )
        return Credential(entry, clean(found.decode("ascii", "replace")))
    scheme, _, rest = entry.source.partition(":")
    read = sources.get(scheme)
    if read is None:
        raise UsageError(f"the source `{scheme}:` of {named(entry)} is not known", fix="`llmcp key set` again", code="bad-source")
    return Credential(entry, clean(read(rest)))


def resolve_all(
    entries: Iterable[CredentialEntry],
    secrets: SecretStore,
    sources: Mapping[str, Source],
    previous: Sequence[Credential] = (),
) -> Snapshot:
    """Read all that are in use (weight above 0). `previous` are the last good ones. Never raises an LlmcpError."""
    last = {credential.entry.id: credential for credential in previous}
    found: list[Credential] = []
    problems: list[str] = []
    for entry in entries:
        if entry.weight <= 0:
            continue
        kept = last.get(entry.id)
        if kept is not None and (kept.entry.provider, kept.entry.source) != (entry.provider, entry.source):
            kept = None
        if kept is not None and entry.source == STORED and secret_name(kept.entry) == secret_name(entry):
            found.append(Credential(entry, kept.secret))
            continue
        try:
            found.append(resolve(entry, secrets, sources))
        except LlmcpError as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            if kept is not None:
                # Under the old name: the next time it is tried again.
                found.append(Credential(msgspec.structs.replace(entry, rotated=kept.entry.rotated), kept.secret))
                why += "; the last good value is used"
            problems.append(f"{named(entry)} cannot be read ({why})")
    return Snapshot(tuple(found), tuple(problems))


def named(entry: CredentialEntry) -> str:
    """Name a credential for a person."""
    whose = f" for org {entry.org}" if entry.org else ""
    return f"the {entry.provider} credential {entry.id}{whose}"
