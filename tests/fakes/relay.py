"""A counting wire between a client and the gateway: it passes bytes on and counts how many requests the client really sent.

A retry storm is invisible to the client's own code; here every request line is seen.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from typing import Self

_REQUEST_LINE = re.compile(rb"(?:^|\r\n|\})((?:GET|POST|PUT|PATCH|DELETE|HEAD) /[^ \r\n]* HTTP/1\.1)\r\n")


class Relay:
    """Listens on a free port and connects each client to `port`. `requests` are the request lines seen."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        """Listen."""
        outer = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", outer.target)) as onward:
                    threading.Thread(target=_copy, args=(onward, self.request), daemon=True).start()
                    outer._forward(self.request, onward)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._listener = Listener(("127.0.0.1", 0), Connection)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._listener.shutdown()
        self._listener.server_close()

    def _forward(self, client: socket.socket, onward: socket.socket) -> None:
        while data := client.recv(65536):
            # A client waits for its answer before it sends again, so a request line always begins a read.
            self.requests += [line.decode() for line in _REQUEST_LINE.findall(data)]
            onward.sendall(data)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
