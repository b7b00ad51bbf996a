"""What must hold for a condition not to be false: the parts that its outermost `&&` joins.

Rules:
1. `&&` is false where one side is false, even beside an error; so one false part answers for the whole.
2. Parts behind a comprehension do not count: it may exhaust its budget, which no false part behind it undoes.
3. A literal is looked for in the very text that the variable would be bound to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.conditions.variables import request_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmcp.conditions.ast import Node
    from llmcp.core.decide import RequestView
    from llmcp.ports import Condition


def conjuncts(root: Node) -> Iterator[Node]:
    """Yield the parts of `root` that rule 2 lets count, in order."""
    for part in _joined(root):
        if any(node.kind == "comprehension" for node in part.walk()):
            return
        yield part


def _joined(node: Node) -> Iterator[Node]:
    if node.kind == "call" and node.name == "_&&_":
        for child in node.children:
            yield from _joined(child)
    else:
        yield node


def needle(part: Node) -> str:
    """Return `x` where `part` is `request.text.contains("x")`, else ''. A NUL is never in a text that is bound."""
    if part.kind != "call" or part.name != "contains" or len(part.children) != 2:  # noqa: PLR2004 - text and literal
        return ""
    text, literal = part.children
    if text.kind != "ident" or text.name != "request.text" or literal.kind != "const":
        return ""
    return literal.text or ""


def sieve(conditions: Sequence[tuple[int, Condition]]) -> Callable[[RequestView], list[tuple[int, Condition]]]:
    """Return what keeps those of the numbered `conditions` whose needles all stand in a view's text."""
    wanted = [(condition.needles[0], condition.needles[1:], (slot, condition)) for slot, condition in conditions]

    def keep(view: RequestView) -> list[tuple[int, Condition]]:
        text = request_text(view)
        return [each for first, more, each in wanted if first in text and all(other in text for other in more)]

    return keep
