"""Where a reader of records stopped, as an opaque text that goes on with the same question and no other.

Rules:
1. A cursor belongs to the filter it was made with: with another it is refused, because the pages would not fit together.
2. It carries the moments that `--since 1h` meant on the first page, so that the window does not slide from page to page.
3. It says nothing that the records did not say (a position), and it grants nothing: the scope (`org`) is always the asker's own.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import fields, replace
from hashlib import sha256
from typing import Final

import msgspec

from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import MAX_SAFE_INTEGER
from llmcp.errors import UsageError

_POSITION: Final = frozenset(("after_seq", "before_seq", "limit"))
_LONGEST: Final = 1024


class _Said(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    filter: str
    seq: int
    forward: bool
    since: str
    until: str


_DECODER: Final = msgspec.json.Decoder(_Said)


def encode(next_seq: int, *, spoken: RecordFilter, resolved: RecordFilter) -> str:
    """Return the cursor of the page after `resolved`, which stands for what the user wrote in `spoken`."""
    said = _Said(_digest(spoken), next_seq, resolved.after_seq >= 0, resolved.since, resolved.until)
    return urlsafe_b64encode(msgspec.json.encode(said)).decode().rstrip("=")


def resume(cursor: str, *, spoken: RecordFilter, resolved: RecordFilter) -> RecordFilter:
    """Return the filter of the page that `cursor` names. Raises: UsageError (`bad-cursor`) where it is not of this question."""
    said = _decode(cursor)
    if said.filter != _digest(spoken):
        raise _refused("it was made with other filters", "repeat the filters of the first page; only `--limit` may change")
    going_on = replace(resolved, since=said.since, until=said.until)
    return replace(going_on, after_seq=said.seq) if said.forward else replace(going_on, after_seq=-1, before_seq=said.seq)


def _decode(cursor: str) -> _Said:
    try:
        raw = urlsafe_b64decode(cursor[:_LONGEST] + "=" * (-len(cursor[:_LONGEST]) % 4))
        said = _DECODER.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _refused("it is not one that llmcp wrote", "copy it whole, or leave it out to begin anew") from None
    if said.seq < 0 or said.seq > MAX_SAFE_INTEGER:
        raise _refused("it is not one that llmcp wrote", "copy it whole, or leave it out to begin anew")
    return said


def _digest(spoken: RecordFilter) -> str:
    parts = [getattr(spoken, field.name) for field in fields(RecordFilter) if field.name not in _POSITION]
    return sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def _refused(why: str, fix: str) -> UsageError:
    return UsageError("this cursor cannot be used here", why=why, fix=fix, code="bad-cursor")
