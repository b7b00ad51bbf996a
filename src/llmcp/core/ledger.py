"""The ledger's values: checkpoints, proofs, and what can be wrong with a log."""

from __future__ import annotations

from llmcp.errors import LlmcpError


class BrokenTreeError(LlmcpError):
    """A hash that a proof needs is not there: it was pruned, or somebody took it."""

    exit_code = 1
    default_code = "broken-tree"
