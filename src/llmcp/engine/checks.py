"""What is wrong with a request before any rule is asked: its credentials, its content, names that readers read differently.

Rules:
1. A check says what is wrong, in words for the client; the exchange refuses.
2. Nothing here looks at policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmcp.core.http import header
from llmcp.core.messages import Operation
from llmcp.engine.credentials import signed_by_aws
from llmcp.engine.doubles import double_inside
from llmcp.errors import MalformedRequestError
from llmcp.ports import RefusalKind

if TYPE_CHECKING:
    from llmcp.core.http import RequestHead
    from llmcp.core.messages import RequestFacts
    from llmcp.core.settings import Settings
    from llmcp.engine.heads import HeadFacts
    from llmcp.ports import Endpoint

type Wrong = tuple[RefusalKind, str]


def wrong_credentials(endpoint: Endpoint, head: RequestHead, settings: Settings) -> Wrong | None:
    """Say why the credentials of a client that has not proven who it is cannot pass, or None."""
    if settings.auth.require_virtual_key:
        why = "a virtual key (`llmcp_…`) is required here: `auth.require_virtual_key` forbids provider keys"
        return RefusalKind.UNAUTHENTICATED, why
    if endpoint.provider == "bedrock" and signed_by_aws(head.headers):
        why = "a SigV4 signature covers the host and cannot pass a gateway; use a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`)"
        return RefusalKind.UNAUTHENTICATED, why
    return None


def wrong_content(endpoint: Endpoint, head: RequestHead, said: HeadFacts) -> Wrong | None:
    """Refuse a body of another type on a JSON operation: no rule could read it, and a web page may send one unasked."""
    if said.is_json or not endpoint.json_body or not said.content_type or not _has_body(head):
        return None
    return RefusalKind.UNSUPPORTED_MEDIA_TYPE, "this operation takes a JSON body: send `content-type: application/json`"


def passes_unread(endpoint: Endpoint, head: RequestHead, said: HeadFacts) -> bool:
    """Tell whether the body is an upload that nothing reads: it is streamed through instead of held in memory."""
    if head.method not in {"POST", "PUT", "PATCH"} or endpoint.unified:
        return False
    if endpoint.inspectable and endpoint.operation is not Operation.FILES:
        return False
    return not said.is_json


def check_names(facts: RequestFacts) -> None:
    """Refuse a model's name with white space around it or with invisible characters: hosts trim them, globs do not match them.

    Raises: MalformedRequestError.
    """
    for name in (facts.model, *facts.fallback_models):
        if name != name.strip() or not name.isprintable():
            raise MalformedRequestError(
                "the name of the model is not plain",
                why="it has white space around it or invisible characters",
                fix="send the model's id alone",
                code="malformed-model",
            )


def check_doubles(body: bytes, contents: int) -> None:
    """Refuse a body in which some object has a governed key twice. Raises: MalformedRequestError."""
    name = double_inside(body, contents)
    if name:
        raise MalformedRequestError(
            f"`{name}` is ambiguous",
            why="some object of the request has it twice, or in two letter cases, and readers disagree about which one counts",
            fix=f"send `{name}` once in each object",
            code="duplicate-key",
        )


def _has_body(head: RequestHead) -> bool:
    length = header(head.headers, b"content-length")
    return bool(header(head.headers, b"transfer-encoding")) or (length not in {b"", b"0"})
