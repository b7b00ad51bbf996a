"""The sample provider of `llmcp demo`: a small real HTTP server on loopback that speaks OpenAI chat and Anthropic messages.

Rules:
1. It answers what it was asked: the reply quotes the model and the output limit that arrived, so that an edit on the way shows.
2. It counts requests, so that a refusal can be seen not to have arrived.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

_WORDS_APART_S = 0.02


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SampleProvider

    def do_POST(self) -> None:
        """Answer a chat request of either dialect."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests += 1
        limit = request.get("max_tokens") or request.get("max_completion_tokens") or 0
        said = f"Hello from {request['model']}; you let me say {limit or 'any number of'} tokens."
        if self.path.endswith("/messages"):
            self._anthropic(request, said)
        else:
            self._openai(request, said)

    def _openai(self, request: dict[str, Any], said: str) -> None:
        usage = {"prompt_tokens": 12, "completion_tokens": 14, "total_tokens": 26}
        head = {"id": "chatcmpl-sample", "created": 1, "model": request["model"]}
        if not request.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
            self._whole(head | {"object": "chat.completion", "choices": [choice], "usage": usage})
            return
        chunk = head | {"object": "chat.completion.chunk"}
        events = [chunk | {"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in said.split()]
        events.append(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append(chunk | {"choices": [], "usage": usage})
        self._stream([f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"])

    def _anthropic(self, request: dict[str, Any], said: str) -> None:
        message = {"id": "msg_sample", "type": "message", "role": "assistant", "model": request["model"], "stop_sequence": None}
        usage = {"input_tokens": 12, "output_tokens": 14}
        if not request.get("stream"):
            self._whole(message | {"content": [{"type": "text", "text": said}], "stop_reason": "end_turn", "usage": usage})
            return
        start = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
        events: list[tuple[str, dict[str, Any]]] = [
            ("message_start", {"message": start}),
            ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            *(
                ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": f"{word} "}})
                for word in said.split()
            ),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 14}}),
            ("message_stop", {}),
        ]
        self._stream([f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n" for name, data in events])

    def _whole(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, pieces: list[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            data = piece.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(_WORDS_APART_S)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class SampleProvider(ThreadingHTTPServer):
    """The server; a context manager that runs it in a thread. `requests` counts what arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.requests = 0
        self._thread = threading.Thread(target=self.serve_forever, name="sample-provider", daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()
