"""What may be a credential: its form, whose it looks like, what may be shown of it.

Rules:
1. A secret is printable ASCII without spaces, so that it can be one header's value. A line end after it is not part of it.
2. A key whose form is another provider's is refused unless that is wanted: it would go to the wrong company. `sk-` alone proves
   nothing where the provider has no form of its own: half the field copied it.
3. A virtual key of ours is never a provider's credential.
4. No error quotes a secret, nor any part of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.providers.catalog import Catalog, ProviderEntry

_FORM: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_PAIR: Final = re.compile(r"(A[A-Z0-9]{3,127}):([^\s:]{16,})(?::([^\s:]+))?")
_SHARED_PREFIX: Final = "sk-"
_SHOWN: Final = 4
_SHOWN_FROM: Final = 16


def clean(text: str) -> str:
    """Return the secret in `text`. Raises: UsageError where there is none, or it cannot travel in a header."""
    secret = text.rstrip("\r\n")
    if not secret.strip():
        raise UsageError("the key is empty", why="nothing was given", fix="give the provider's key", code="bad-key")
    if _FORM.fullmatch(secret) is None:
        raise UsageError(
            "this cannot be a key",
            why="a key is one word of printable ASCII; there is white space, a control character or something else inside",
            fix="copy it again, without quotes, and only the key",
            code="bad-key",
        )
    return secret


def checked(secret: str, entry: ProviderEntry, catalog: Catalog, *, force: bool) -> str:
    """Return `secret`, cleaned, for the provider `entry`. Raises: UsageError."""
    secret = clean(secret)
    if "llmcp_" in secret.lower():
        raise UsageError(
            "this is a virtual key of llmcp",
            why="it proves who asks here; no provider knows it",
            fix=f"give the key that {entry.name} issued",
            code="bad-key",
        )
    if entry.name == "bedrock" and secret.startswith(("AKIA", "ASIA")) and _PAIR.fullmatch(secret) is None:
        raise UsageError(
            "this is half of an AWS key pair",
            why="a signature needs the access key id and the secret key",
            fix="give `AKIA…:SECRET`, with `:SESSION` after it for a temporary one, or a Bedrock API key",
            code="bad-key",
        )
    owner = foreign_owner(secret, entry, catalog)
    if owner and not force:
        raise UsageError(
            f"this key has the form of {owner}'s keys, not of {entry.name}'s",
            why="it would be sent to the wrong company",
            fix=f"`llmcp key set {owner}`, or say `--force` if {entry.name} does issue such keys",
            code="foreign-key",
        )
    return secret


def foreign_owner(secret: str, entry: ProviderEntry, catalog: Catalog) -> str:
    """Name the other provider whose keys look like `secret`, or ''. Two names of one company count as one."""
    owner = catalog.entries.get(catalog.key_provider(secret))
    if owner is None or owner.name == entry.name or owner.price_id == entry.price_id:
        return ""
    prefix = max((prefix for prefix in owner.keys if secret.startswith(prefix)), key=len, default="")
    return "" if prefix == _SHARED_PREFIX and not entry.keys else owner.name


def hint(secret: str) -> str:
    """Return what may be shown: the last four characters of a long secret; of an AWS key pair, of its public half."""
    pair = _PAIR.fullmatch(secret)
    shown = pair[1] if pair is not None else secret
    return shown[-_SHOWN:] if len(shown) >= _SHOWN_FROM else ""
