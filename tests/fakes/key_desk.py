"""A provider's front desk on loopback: it answers one authenticated call as it is told, and keeps what it was shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

type Reply = tuple[int, dict[str, str], bytes]

LIST: Reply = (200, {"content-type": "application/json"}, b'{"data":[]}')


@dataclass
class KeyDesk:
    """Answers GET. `reply` gets path and headers; `seen` is every request's path and headers, in order."""

    reply: Callable[[str, dict[str, str]], Reply]
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Self:
        """Listen on a free port."""
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                desk.seen.append((self.path, headers))
                status, more, body = desk.reply(self.path, headers)
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def knows(key: str, header: str = "authorization", scheme: str = "Bearer ") -> Callable[[str, dict[str, str]], Reply]:
    """Return a desk's reply that takes exactly `key`."""

    def reply(path: str, headers: dict[str, str]) -> Reply:
        return LIST if headers.get(header) == scheme + key else (401, {}, b'{"error":{"message":"Incorrect API key provided"}}')

    return reply
