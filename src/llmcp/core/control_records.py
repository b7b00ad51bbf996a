"""The control record: what an operator changed, and its one canonical form.

Rules:
1. The value set is the decision record's: integers, booleans, strings and maps of strings; never a float, never null.
2. Fields are declared in sorted order, so that `canonical` is RFC 8785 without sorting; map keys are ASCII.
3. `seq` belongs to the store, as in the decision stream; the two streams count for themselves.
4. No secret, key or digest ever stands in a record: a credential or a token is named by its id.
"""

from __future__ import annotations

from typing import Final

import msgspec

from llmcp.core.records import RECORD_VERSION


class ControlRecord(msgspec.Struct, gc=False, kw_only=True):
    """One change. `action` is `noun.verb`; `actor` is who did it (`local:NAME`, `daemon`), `target` what was changed.

    `detail` says what else matters, in words or numbers as text. Mutable only for the store's sake, which fills in `seq` and puts
    references in the place of persons.
    """

    action: str
    actor: str
    detail: dict[str, str] = {}
    id: str
    org: str = ""
    outcome: str = "done"
    seq: int = 0
    stream: str = "control"
    target: str = ""
    time: str
    user: str = ""
    v: int = RECORD_VERSION


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final = msgspec.json.Decoder(ControlRecord)


def canonical(record: ControlRecord) -> bytes:
    """Return the one byte form of `record`: RFC 8785 over our value set."""
    return _ENCODER.encode(record)


def parse(data: bytes) -> ControlRecord:
    """Read a canonical control record; keys of newer versions are ignored. Raises: msgspec.DecodeError where it is not one."""
    return _DECODER.decode(data)
