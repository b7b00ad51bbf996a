"""Checks of secrets: that they can be read, by name only; no secret is ever shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.control.doctor import counted, fail, ok, skip, told
from llmcp.control.pepper import read_pepper
from llmcp.errors import LlmcpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmcp.control.doctor import Finding
    from llmcp.ports.stores import SecretStore


def backend(secrets: SecretStore) -> Iterator[Finding]:
    """Check that the keychain or the encrypted file opens."""
    kind = secrets.kind
    if not kind:
        yield skip("no secret is kept yet")
        return
    names = secrets.names()
    place = "OS keychain" if kind == "keychain" else "encrypted file"
    try:
        for name in names[:1]:
            # Names are readable without the master key; one secret tells whether the key fits.
            secrets.get(name)
    except LlmcpError as error:
        yield told(error)
        return
    yield ok(f"{counted(len(names), 'secret')} in the {place}")


def credentials(count: int, problems: Sequence[str], left_out: int) -> Iterator[Finding]:
    """Check that every credential in use can be read; `left_out` were not asked for (`--offline`)."""
    for problem in problems:
        yield fail(problem, "mend what `secrets` says; else `llmcp key list`, then `llmcp key rotate` or `llmcp key remove` it")
    if left_out:
        yield skip(f"{left_out} in a secret manager were not asked for")
    if not count:
        yield skip("there are no provider credentials: clients bring their own keys")
    elif not problems:
        yield ok(f"{counted(count - left_out, 'credential')} can be read")


def pepper(secrets: SecretStore, valid_tokens: int) -> Iterator[Finding]:
    """Check that what tokens are hashed with is there."""
    if read_pepper(secrets):
        yield ok(f"{counted(valid_tokens, 'valid token')} can be checked")
    elif valid_tokens:
        yield fail(
            f"the key of all virtual keys is not in the secret store: {counted(valid_tokens, 'valid token')} met by 401",
            "restore the secret store, or revoke them and create new ones",
        )
    else:
        yield skip("there are no virtual keys yet")
