"""The daemon is killed while it works: no committed record is missing afterwards, and the store opens."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.daemon import Daemon

CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"stream":%s}'
HEADERS = {"authorization": "Bearer sk-" + "k" * 40, "content-type": "application/json"}


@contextlib.contextmanager
def _load(port: int, threads: int = 6) -> Iterator[list[str]]:
    """Send requests until the block ends; yields the decision ids that clients have seen."""
    seen: list[str] = []
    over = threading.Event()

    def work(stream: bytes) -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException):
                while not over.is_set():
                    connection.request("POST", "/v1/chat/completions", CHAT % stream, HEADERS)
                    answer = connection.getresponse()
                    answer.read()
                    seen.append(answer.headers["x-llmcp-decision-id"])
            connection.close()
            over.wait(0.02)

    workers = [threading.Thread(target=work, args=(b"true" if n % 2 else b"false",)) for n in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield seen
    finally:
        over.set()
        for worker in workers:
            worker.join()


@pytest.mark.parametrize("after_s", [0.3, 0.8])
def test_no_committed_record_is_missing_after_a_kill(make_daemon: Callable[..., Daemon], after_s: float) -> None:
    """What a reader of the store saw before the kill is there after the restart, in the same place."""
    daemon = make_daemon()
    with _load(daemon.port) as seen:
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
        with _load(daemon.port, threads=3):
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
    with _load(daemon.port) as seen:
        time.sleep(0.5)
        code = daemon.stop()
    assert code == 0
    daemon.start()
    assert set(seen) <= {r["decision_id"] for r in daemon.records(len(seen))}
