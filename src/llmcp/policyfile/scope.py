"""`scope` and `match`: globs over orgs, apps, providers, models and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.globs import Glob
from llmcp.core.messages import Operation
from llmcp.core.policy import Scope
from llmcp.policyfile.nodes import Scalar, Sequence
from llmcp.policyfile.reader import nearest

if TYPE_CHECKING:
    from llmcp.policyfile.reader import MappingReader

_ALL = ("*",)


def read_scope(owner: MappingReader, key: str) -> Scope:
    """Return the scope under `key`; everything where it is absent."""
    scope = owner.inner(key)
    if scope is None:
        return Scope()
    scope.only("orgs", "apps", "providers", "models", "operations")
    operations = scope.globs("operations") or _ALL
    _check_operations(scope, operations)
    return Scope(
        orgs=scope.globs("orgs") or _ALL,
        apps=scope.globs("apps") or _ALL,
        providers=scope.globs("providers") or _ALL,
        models=scope.globs("models") or _ALL,
        operations=operations,
    )


def _check_operations(scope: MappingReader, operations: tuple[str, ...]) -> None:
    node = scope.get("operations")
    if not isinstance(node, Sequence):
        return
    places = {item.value: item.position for item in node.items if isinstance(item, Scalar)}
    for pattern in operations:
        if pattern in places and not any(Glob(pattern).matches(operation.value) for operation in Operation):
            hint = nearest(pattern, [operation.value for operation in Operation])
            scope.source.report("P113", places[pattern], f"`{pattern[:60]}` covers no operation", hint=hint)
