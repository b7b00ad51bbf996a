"""The pepper: the key under which tokens are hashed, kept in the secret store and nowhere else.

Rules:
1. It is made with the first token and never changes: a new one would make every older token worthless.
2. Where it is missing although tokens are still valid by their rows, no new one is made: restoring the secret store may bring it
   back, and a second pepper would hide that.
3. Two who make the first token at once must be kept apart by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.identity import TokenState, state_of
from llmcp.core.virtual_keys import PEPPER_BYTES, PEPPER_NAME
from llmcp.errors import ConflictError, LlmcpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.ports.stores import IdentityStore, SecretStore


def read_pepper(secrets: SecretStore) -> bytes:
    """Return the pepper; b"" where there is none. Raises: ConflictError where it is not one, and what the secret store raises."""
    found = secrets.get(PEPPER_NAME)
    if found is None:
        return b""
    if len(found) != PEPPER_BYTES:
        raise ConflictError(
            f"the secret `{PEPPER_NAME}` is not what llmcp put there",
            why=f"it has {len(found)} bytes instead of {PEPPER_BYTES}; no token can be checked with it",
            fix="restore the secret store from a backup",
            code="pepper-damaged",
        )
    return found


def ensure_pepper(store: IdentityStore, secrets: SecretStore, random: Callable[[int], bytes], now: str) -> bytes:
    """Return the pepper, made where no token needs an older one. Raises: ConflictError (rule 2)."""
    found = read_pepper(secrets)
    if found:
        return found
    if waiting := sum(state_of(token, now) is TokenState.VALID for token in store.tokens()):
        raise lost(waiting)
    secrets.set(PEPPER_NAME, random(PEPPER_BYTES))
    return read_pepper(secrets)


def pepper_problem(store: IdentityStore, secrets: SecretStore, now: str) -> LlmcpError | None:
    """Return what keeps the tokens of a home from being checked, None where nothing does. For `doctor`."""
    waiting = sum(state_of(token, now) is TokenState.VALID for token in store.tokens())
    if not waiting:
        return None
    try:
        return None if read_pepper(secrets) else lost(waiting)
    except LlmcpError as error:
        return error


def lost(tokens: int) -> ConflictError:
    """Return the error that says what a missing pepper means for `tokens` tokens."""
    return ConflictError(
        f"the key of all virtual keys (`{PEPPER_NAME}`) is not in the secret store",
        why=f"{tokens} token{'s' if tokens != 1 else ''} in use were hashed with it; without it none can be checked, all get 401",
        fix="restore the secret store (or choose the backend that has it); if it is gone, `llmcp token revoke` them and create new ones",
        code="pepper-lost",
    )
