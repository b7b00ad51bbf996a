"""What a client says of itself: agent program, agent session, labels.

Rules:
1. Hearsay: it steers attribution and conditions that name `client.*`, never identity.
2. No virtual key is kept with what is said, wherever a client put one.
3. Labels: at most 16, keys and values `[a-z0-9_.-]{1,64}`; anything else is the client's mistake and is said so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmcp.core.subject import NO_LABELS, ClientInfo
from llmcp.core.virtual_keys import masked
from llmcp.errors import MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmcp.core.http import Headers

MAX_LABELS = 16
_MAX_SAID = 256
_LABEL = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_SESSION_HEADERS = (b"x-claude-code-session-id", b"session-id", b"session_id", b"thread-id")
# User agents of coding agents whose requests carry no header that names them.
_AGENT_USER_AGENTS = (("claude-cli/", "claude-code"), ("claude-code/", "claude-code"), ("codex", "codex"), ("aider/", "aider"))


def read_client(headers: Headers, ip: str) -> ClientInfo:
    """Return what `headers` say of the program that asks."""
    user_agent = session = agent = ""
    for name, value in headers:
        if name == b"user-agent":
            user_agent = _said(value)
        elif name in _SESSION_HEADERS:
            session = session or _said(value)
            if name == b"x-claude-code-session-id":
                agent = "claude-code"
        elif name == b"originator":
            agent = agent or _said(value)
    if not agent and user_agent:
        lowered = user_agent.lower()
        agent = next((known for prefix, known in _AGENT_USER_AGENTS if lowered.startswith(prefix)), "")
    return ClientInfo(ip=ip, user_agent=user_agent, agent=agent, session=session)


def _said(value: bytes) -> str:
    """Return a header's value as bounded, printable text: it goes into records."""
    text = value[:_MAX_SAID].decode("utf-8", "replace")
    return masked(text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text))


def read_labels(headers: Headers) -> Mapping[str, str]:
    """Return the labels of `x-llmcp-labels: k=v,…`. Raises: MalformedRequestError."""
    labels: dict[str, str] | None = None
    for name, value in headers:
        if name != b"x-llmcp-labels":
            continue
        labels = labels if labels is not None else {}
        for pair in value.decode("ascii", "replace").split(","):
            key, separator, text = pair.strip().partition("=")
            if not separator or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(text):
                raise MalformedRequestError(
                    "the header `x-llmcp-labels` is not a list of labels",
                    why="expected `key=value` pairs separated by commas, each of `[a-z0-9_.-]{1,64}`",
                    code="bad-labels",
                )
            labels[key] = text
        if len(labels) > MAX_LABELS:
            raise MalformedRequestError(
                "the header `x-llmcp-labels` has too many labels", why=f"at most {MAX_LABELS}", code="bad-labels"
            )
    return NO_LABELS if labels is None else labels
