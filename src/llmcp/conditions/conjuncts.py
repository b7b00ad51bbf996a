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
    from collections.abc import Iterator

    from llmcp.conditions.ast import Node
    from llmcp.core.decide import RequestView


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


def lacks(view: RequestView, needles: tuple[str, ...]) -> bool:
    """Tell whether one of `needles` does not stand in the request's text."""
    text = request_text(view)
    for wanted in needles:  # noqa: SIM110 - a generator costs more than the search, and this runs for every rule and request
        if wanted not in text:
            return True
    return False
