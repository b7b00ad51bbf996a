"""The fake passes the contract, so that tests which use it say something about the real one."""

from __future__ import annotations

import threading

import pytest

from contract.audit_log import AuditLogContract
from fakes.audit_log import MemoryAuditLog

LOCK = threading.Lock()


@pytest.fixture
def log() -> MemoryAuditLog:
    """Return an empty log."""
    return MemoryAuditLog(lock=LOCK)


@pytest.fixture
def second_log(log: MemoryAuditLog) -> MemoryAuditLog:
    """Return another writer on the same rows."""
    return MemoryAuditLog(log.rows, LOCK)


class TestMemoryAuditLog(AuditLogContract):
    """Runs the contract against the fake."""
