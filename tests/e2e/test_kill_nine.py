"""The daemon is killed while it works: no committed record is missing afterwards, and the store opens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from e2e.load import CHAT, HEADERS, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Daemon


@pytest.mark.parametrize("after_s", [0.3, 0.8])
def test_no_committed_record_is_missing_after_a_kill(make_daemon: Callable[..., Daemon], after_s: float) -> None:
    """What a reader of the store saw before the kill is there after the restart, in the same place."""
    daemon = make_daemon()
    with load(daemon.port) as seen:
        time.sleep(after_s)
        committed = {r["decision_id"]: (r["seq"], r["time"], r["outcome"]) for r in daemon.records(20)}
        daemon.kill()
    assert len(committed) >= 20
    daemon.start()
    after = {r["decision_id"]: (r["seq"], r["time"], r["outcome"]) for r in daemon.records()}
    assert {k: after.get(k) for k in committed} == committed
    assert set(committed) <= set(after) <= set(seen) | set(after)
    numbers = sorted(seq for seq, _, _ in after.values())
    assert len(numbers) == len(set(numbers))


def test_it_works_again_after_every_kill(make_daemon: Callable[..., Daemon]) -> None:
    """Three kills in a row: the lock is free, the store opens, records only grow."""
    daemon = make_daemon()
    count = 0
    for _ in range(3):
        with load(daemon.port, threads=3):
            found = daemon.records(count + 5)
            daemon.kill()
        assert len(found) >= count + 5
        count = len(found)
        daemon.start()
        assert len(daemon.records()) >= count
    answer = daemon.call("POST", "/v1/chat/completions", CHAT % b"false", HEADERS)
    assert answer.status == 200
    assert daemon.record(answer.headers["x-llmcp-decision-id"])["outcome"] == "allowed"


def test_a_polite_end_loses_nothing(make_daemon: Callable[..., Daemon]) -> None:
    """On SIGTERM every answered request is recorded before the daemon is gone."""
    daemon = make_daemon()
    with load(daemon.port) as seen:
        time.sleep(0.5)
        code = daemon.stop()
    assert code == 0
    daemon.start()
    assert set(seen) <= {r["decision_id"] for r in daemon.records(len(seen))}
