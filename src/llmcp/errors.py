"""Every error that llmcp raises on purpose, in three parts: what happened, why, what to do.

Rules:
1. One level of subclasses below `LlmcpError`, one per exit code or per boundary that tells them apart.
2. `code` is stable and searchable (`llmcp explain CODE`); the words may change.
3. No message holds a secret, a header value or a body.
"""

from __future__ import annotations

from typing import ClassVar


class LlmcpError(Exception):
    """Something went wrong that the user can be told about.

    `what` names the thing that failed, `why` is the cause in one line, `fix` is what to do next (commands in backticks).
    """

    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "internal"

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code or self.default_code


class NegativeResultError(LlmcpError):
    """The command ran and its answer is no: denied, problems found, tests failed."""

    exit_code = 1
    default_code = "negative"


class UsageError(LlmcpError):
    """Wrong arguments or invalid settings."""

    exit_code = 2
    default_code = "usage"


class NotFoundError(LlmcpError):
    """The named thing does not exist."""

    exit_code = 3
    default_code = "not-found"


class NotPermittedError(LlmcpError):
    """The caller may not do this."""

    exit_code = 4
    default_code = "not-permitted"


class UnreachableError(LlmcpError):
    """No daemon or no store answers."""

    exit_code = 5
    default_code = "unreachable"


class ConflictError(LlmcpError):
    """Somebody else holds it, or it changed meanwhile."""

    exit_code = 6
    default_code = "conflict"


class MalformedRequestError(LlmcpError):
    """A client's request cannot be read as its dialect demands; answered 400 in that dialect."""

    exit_code = 1
    default_code = "malformed-request"


class NotEditableError(LlmcpError):
    """A rule asks for an edit that this request does not allow (a signed body, a missing field)."""

    exit_code = 1
    default_code = "not-editable"


class WrongStateError(LlmcpError):
    """A state machine was called out of order: a bug in the caller."""

    default_code = "wrong-state"
