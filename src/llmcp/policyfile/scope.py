"""`scope` and `match`: globs over orgs, apps, providers, models and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.globs import Glob
from llmcp.core.messages import Operation
from llmcp.core.policy import Scope, Severity
from llmcp.policyfile.nodes import Scalar, Sequence
from llmcp.policyfile.reader import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmcp.policyfile.reader import MappingReader
    from llmcp.ports import Vocabulary

_ALL = ("*",)


def read_scope(owner: MappingReader, key: str, vocabulary: Vocabulary) -> Scope:
    """Return the scope under `key`; everything where it is absent."""
    scope = owner.inner(key)
    if scope is None:
        return Scope()
    scope.only("orgs", "apps", "providers", "models", "operations")
    operations = scope.globs("operations") or _ALL
    _check_names(scope, "operations", [operation.value for operation in Operation])
    if vocabulary.providers:
        _check_names(scope, "providers", vocabulary.providers)
    return Scope(
        orgs=scope.globs("orgs") or _ALL,
        apps=scope.globs("apps") or _ALL,
        providers=scope.globs("providers") or _ALL,
        models=scope.globs("models") or _ALL,
        operations=operations,
    )


def _check_names(scope: MappingReader, key: str, known: Collection[str]) -> None:
    """Report globs that cover no known name: an error for operations, a closed list; a warning for providers, which settings add."""
    node = scope.get(key)
    items = node.items if isinstance(node, Sequence) else []
    for item in items:
        if not isinstance(item, Scalar) or not isinstance(item.value, str) or not item.value:
            continue
        if any(Glob(item.value).matches(name.casefold()) for name in known):
            continue
        hint = nearest(item.value, known)
        if key == "operations":
            scope.source.report("P113", item.position, f"`{item.value[:60]}` covers no operation", hint=hint)
        else:
            message = f"`{item.value[:60]}` covers no known provider"
            scope.source.report("P121", item.position, message, hint=hint, severity=Severity.WARNING)
