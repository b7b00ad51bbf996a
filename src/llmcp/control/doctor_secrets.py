"""Checks of secrets: that they can be read, by name only; no secret is ever shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.control.doctor import fail, ok, skip, warn
from llmcp.control.pepper import read_pepper

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
    yield ok(f"{len(names)} secrets in the {'OS keychain' if kind == 'keychain' else 'encrypted file'}")


def credentials(count: int, problems: Sequence[str], left_out: int, of_this_shell: Sequence[str] = ()) -> Iterator[Finding]:
    """Check that every credential in use can be read; `left_out` were not asked for (`--offline`).

    What this shell does not export, the daemon's may: that is a warning.
    """
    for problem in problems:
        yield fail(problem, "`llmcp key list`, then `llmcp key rotate` or `llmcp key remove` it")
    for problem in of_this_shell:
        yield warn(f"from this shell {problem}", "export it where `llmcp serve` is started, or `llmcp key remove` it")
    if left_out:
        yield skip(f"{left_out} in a secret manager were not asked for")
    if not count:
        yield skip("there are no provider credentials: clients bring their own keys")
    elif not problems and not of_this_shell:
        yield ok(f"{count - left_out} credentials can be read")


def pepper(secrets: SecretStore, valid_tokens: int) -> Iterator[Finding]:
    """Check that what tokens are hashed with is there."""
    if read_pepper(secrets):
        yield ok(f"{valid_tokens} valid tokens can be checked")
    elif valid_tokens:
        yield fail(
            f"the key of all virtual keys is not in the secret store: {valid_tokens} valid tokens get 401",
            "restore the secret store, or revoke them and create new ones",
        )
    else:
        yield skip("there are no virtual keys yet")
