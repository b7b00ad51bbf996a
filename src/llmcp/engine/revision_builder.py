"""Builds a revision from checked policies and the settings' digest. Both planes build revisions here.

Rules:
1. The same content gives the same id: policies enter in name order, in canonical form, without file names, positions and tests.
2. Building is all or nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from llmcp.core.revision import Revision
from llmcp.engine.policy_program import CompiledProgram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmcp.core.policy import Policy
    from llmcp.ports import Vocabulary

_SHORT = 16


def content_digest(policies: Sequence[Policy], settings_digest: str) -> str:
    """Return the 64 hex digits of the content's SHA-256."""
    ordered = sorted(policies, key=lambda policy: policy.name)
    content = {"policies": [policy.canonical() for policy in ordered], "settings": settings_digest}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def build_revision(policies: Sequence[Policy], settings_digest: str, vocabulary: Vocabulary, *, number: int = 0) -> Revision:
    """Compile `policies`, which were checked, into a revision. Raises: ValueError where one was not."""
    digest = content_digest(policies, settings_digest)
    ordered = tuple(sorted(policies, key=lambda policy: policy.name))
    return Revision(f"sha256:{digest[:_SHORT]}", digest, CompiledProgram(ordered, vocabulary), ordered, number)
