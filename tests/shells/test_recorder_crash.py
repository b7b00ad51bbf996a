"""kill -9 at any moment loses no committed record, doubles none, leaves no gap, and the store opens."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmcp.core.record_filter import RecordFilter
from llmcp.core.records import parse
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

# Writes bursts of records and says a number on stdout once all records up to it are flushed, that is, acknowledged.
WRITER = """
import sys, time
from pathlib import Path
from llmcp.core.records import DecisionRecord
from llmcp.runtime.recorder import Recorder
from llmcp.stores.sqlite.audit_log import SqliteAuditLog

log = SqliteAuditLog(Path(sys.argv[1]))
number = log.last_seq()
recorder = Recorder(log, time.monotonic, linger_s=0.001)
recorder.start()
print("ready", flush=True)
while True:
    for _ in range(37):
        number += 1
        name = f"{sys.argv[2]}-{number}"
        recorder.submit(DecisionRecord(id=name, decision_id=name, time="2026-01-01T00:00:00.000000Z", session="x" * 500))
    assert recorder.flush(30)
    print(number, flush=True)
"""


def _run_until_killed(path: Path, name: str, after_s: float) -> int:
    """Run the writer, kill it that long after it became ready, return the last number that it acknowledged."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    timer = threading.Timer(after_s, writer.send_signal, [signal.SIGKILL])
    timer.start()
    # A last line that was cut off by the kill was not acknowledged.
    acknowledged = [int(line) for line in writer.stdout if line.endswith("\n")]
    timer.join()
    assert writer.wait() == -signal.SIGKILL
    return max(acknowledged, default=0)


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_loses_no_acknowledged_record(tmp_path: Path, seed: int) -> None:
    """Several lives on one store, each ended at a random moment, some while the file was just being opened again."""
    path = tmp_path / "llmcp.db"
    moments = random.Random(seed)  # noqa: S311 - reproducible moments, no secrets
    stored = 0
    for life in range(4):
        acknowledged = _run_until_killed(path, f"life{life}", moments.uniform(0.0, 0.25))
        found = [parse(data) for data in SqliteAuditLog(path).query(RecordFilter())]
        assert [record.seq for record in found] == list(range(1, len(found) + 1))
        assert len({record.id for record in found}) == len(found)
        assert len(found) >= max(acknowledged, stored)
        mine = [record for record in found if record.id.startswith(f"life{life}-")]
        assert [record.id for record in mine] == [f"life{life}-{stored + n}" for n in range(1, len(mine) + 1)]
        stored = len(found)
    assert stored > 0
