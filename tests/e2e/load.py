"""Load on a daemon while a test does something to it."""

from __future__ import annotations

import contextlib
import http.client
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"stream":%s}'
HEADERS = {"authorization": "Bearer sk-" + "k" * 40, "content-type": "application/json"}


@contextlib.contextmanager
def load(port: int, threads: int = 6) -> Iterator[list[str]]:
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
