"""How a dialect says which paths it serves: a table of `Route`s, first match wins.

Rules:
1. Patterns match the *normalised* path below the provider's prefix: percent-decoded (but for `%2F`), lower-cased, without a
   trailing slash and without the query. What is forwarded is the client's own spelling.
2. A named group `model` gives the model that the path names; it is taken from the client's own spelling, percent-decoded.
3. Patterns are anchored at both ends by the surface; they should begin with `.*` where an API prefix may stand before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcp.core.messages import Operation


@dataclass(frozen=True, slots=True)
class Route:
    """One path form of a dialect.

    `methods` empty: any method. `stream` None: the body says. `json_body`: a non-empty body of another content type is 415.
    `inspectable` False: the path is known and given its operation, but nothing in it is read.
    """

    pattern: str
    operation: Operation
    kind: str = ""
    stream: bool | None = None
    json_body: bool = True
    inspectable: bool = True
    methods: frozenset[str] = frozenset()
