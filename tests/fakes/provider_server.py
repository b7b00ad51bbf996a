"""A small real provider on loopback: it answers OpenAI, Anthropic and Gemini clients, keeps the very bytes it got, and can misbehave.

Rules:
1. One thread a connection, blocking sockets, nothing shared with llmcp: it is a witness, so it parses HTTP by itself.
2. `received` holds every request that arrived complete, in order of arrival; `connections` counts sockets.
3. What it says is fixed: the text is `REPLY` in pieces; a request that offers tools and asks to `call the tool` gets a tool call.
4. `misbehave(…)` queues what happens to the next requests; the queue empty, it behaves.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

PIECES = ("Grüße ", "from ", "the 東京 ", "provider ", "🙂.")
REPLY = "".join(PIECES)
ARGUMENTS = '{"city": "Zürich"}'


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. `head` is the request line and headers as bytes, without the empty line."""

    method: str
    target: str
    head: bytes
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    `kind`: `status` (answer with `status`, `body`, `headers`), `reset` or `close` before an answer, `reset_midway` or `close_midway`
    after half of the answer, `stall` (no answer until the peer goes away), `garbage` (not HTTP).
    """

    kind: str
    status: int = 500
    body: bytes = b'{"error":{"message":"it broke","type":"server_error","param":null,"code":null}}'
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer (`parts` of one) or a stream (`parts` of several)."""

    parts: tuple[bytes, ...]
    content_type: str = "application/json"
    streamed: bool = False


def _doc(document: Any) -> Reply:
    return Reply((json.dumps(document, ensure_ascii=False).encode(),))


def _events(events: Iterable[tuple[str, Any]], *, done: bool = False) -> Reply:
    parts = []
    for name, data in events:
        head = f"event: {name}\n" if name else ""
        parts.append(f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())
    if done:
        parts.append(b"data: [DONE]\n\n")
    return Reply(tuple(parts), "text/event-stream", streamed=True)


def _wants_tool(body: dict[str, Any]) -> bool:
    return bool(body.get("tools")) and "call the tool" in json.dumps(body)


def _tool_name(tool: dict[str, Any]) -> str:
    declared = tool.get("functionDeclarations") or tool.get("function_declarations") or [{}]
    return str(tool.get("name") or tool.get("function", {}).get("name") or declared[0].get("name", ""))


def openai_chat(body: dict[str, Any]) -> Reply:
    """Answer `/chat/completions`."""
    common = {"id": "chatcmpl-1", "created": 1760000000, "model": body.get("model", "")}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 4}}
    tool = _wants_tool(body)
    call = (
        {"id": "call_1", "type": "function", "function": {"name": _tool_name(body["tools"][0]), "arguments": ARGUMENTS}}
        if tool
        else {}
    )
    if not body.get("stream"):
        message: dict[str, Any] = {"role": "assistant", "content": None if tool else REPLY}
        if tool:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}
        return _doc({**common, "object": "chat.completion", "choices": [choice], "usage": usage})

    def chunk(delta: dict[str, Any], finish: str | None = None) -> tuple[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return "", {**common, "object": "chat.completion.chunk", "choices": [choice]}

    events = [chunk({"role": "assistant", "content": ""})]
    if tool:
        begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        events.append(chunk({"tool_calls": [begun]}))
        events += [
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in (ARGUMENTS[:8], ARGUMENTS[8:])
        ]
    else:
        events += [chunk({"content": piece}) for piece in PIECES]
    events.append(chunk({}, "tool_calls" if tool else "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(("", {**common, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    return _events(events, done=True)


def openai_responses(body: dict[str, Any]) -> Reply:
    """Answer `/responses`."""
    text = {"type": "output_text", "text": REPLY, "annotations": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]}
    full = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1760000000,
        "status": "completed",
        "model": body.get("model", ""),
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 18,
        },
    }
    if not body.get("stream"):
        return _doc(full)
    begun = {**full, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": {**text, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in PIECES),
        {"type": "response.output_text.done", **place, "text": REPLY, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": full},
    ]
    return _events((e["type"], {**e, "sequence_number": i}) for i, e in enumerate(events))


def openai_embeddings(body: dict[str, Any]) -> Reply:
    """Answer `/embeddings` (floats, or base64 as the Python client asks)."""
    import base64

    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    vector: Any = [0.25, -0.5, 1.0]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
    data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
    return _doc(
        {"object": "list", "data": data, "model": body.get("model", ""), "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    )


def anthropic_messages(body: dict[str, Any]) -> Reply:
    """Answer `/messages`."""
    usage = {"input_tokens": 7, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 9}
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }
    tool = _wants_tool(body)
    reason = "tool_use" if tool else "end_turn"
    name = _tool_name(body["tools"][0]) if tool else ""
    use = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    if not body.get("stream"):
        content = [{**use, "input": json.loads(ARGUMENTS)}] if tool else [{"type": "text", "text": REPLY}]
        return _doc({**message, "content": content, "stop_reason": reason, "usage": usage})
    deltas: list[dict[str, Any]]
    if tool:
        block: dict[str, Any] = use
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in (ARGUMENTS[:8], ARGUMENTS[8:])]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in PIECES]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return _events((e["type"], e) for e in events)


def gemini_generate(body: dict[str, Any], target: str) -> Reply:
    """Answer `:generateContent` and `:streamGenerateContent`, the latter as SSE or as a JSON array."""
    model = target.split("/models/")[1].split(":", maxsplit=1)[0]
    usage = {
        "promptTokenCount": 11,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 18,
        "cachedContentTokenCount": 4,
    }

    def answer(parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r-1"}

    if _wants_tool(body):
        call = {"functionCall": {"name": _tool_name(body["tools"][0]), "args": json.loads(ARGUMENTS)}}
        chunks = [answer([call], "STOP")]
    else:
        chunks = [answer([{"text": p}], "STOP" if p is PIECES[-1] else None) for p in PIECES]
    if ":streamGenerateContent" not in target:
        parts = [part for c in chunks for part in c["candidates"][0]["content"]["parts"]]
        return _doc(answer(parts if _wants_tool(body) else [{"text": REPLY}], "STOP"))
    if "alt=sse" in target:
        return _events(("", c) for c in chunks)
    texts = [json.dumps(c, ensure_ascii=False, indent=2).encode() for c in chunks]
    return Reply((b"[" + texts[0], *(b",\r\n" + t for t in texts[1:]), b"]"), streamed=True)


def answer(received: Received) -> Reply:
    """Find the answer to a request."""
    path = received.target.partition("?")[0]
    try:
        body = json.loads(received.body) if received.body else {}
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    if path.endswith("/chat/completions"):
        return openai_chat(body)
    if path.endswith("/responses"):
        return openai_responses(body)
    if path.endswith("/embeddings"):
        return openai_embeddings(body)
    if path.endswith("/messages/count_tokens"):
        return _doc({"input_tokens": 13})
    if path.endswith("/messages"):
        return anthropic_messages(body)
    if "enerateContent" in path and "/models/" in path:
        return gemini_generate(body, received.target)
    if path.endswith("/models"):
        return _doc(
            {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "x"}], "has_more": False}
        )
    return _doc({"object": "thing", "path": path})


@dataclass
class ProviderServer:
    """The server. Use as a context manager; `url` is its address."""

    pause_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    gone_early: int = 0
    _faults: deque[Fault] = field(default_factory=deque)

    def __enter__(self) -> Self:
        """Listen on a free port."""
        outer = self
        self._lock = threading.Lock()
        self._closing = threading.Event()

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer._serve(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 512

        self._listener = Listener(("127.0.0.1", 0), Connection)
        self.port = self._listener.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; open connections end with the process or their peer."""
        self._closing.set()
        self._listener.shutdown()
        self._listener.server_close()

    def misbehave(self, *faults: Fault) -> None:
        """Queue what happens to the next requests."""
        self._faults.extend(faults)

    def forget(self) -> None:
        """Start anew: nothing received, no faults, no pauses."""
        with self._lock:
            self.received.clear()
            self._faults.clear()
            self.pause_s = 0.0
            self.gone_early = 0

    def wait_for(self, count: int, timeout_s: float = 10) -> bool:
        """Wait until `count` requests have arrived."""
        until = time.monotonic() + timeout_s
        while len(self.received) < count and time.monotonic() < until:
            time.sleep(0.005)
        return len(self.received) >= count

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = client.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while (request := _read(reader, client)) is not None:
                with self._lock:
                    self.received.append(request)
                    fault = self._faults.popleft() if self._faults else None
                if not self._reply(client, request, fault):
                    break
        reader.close()

    def _reply(self, client: socket.socket, request: Received, fault: Fault | None) -> bool:
        if fault is not None and not fault.kind.endswith("_midway"):
            return self._fail(client, fault)
        reply = answer(request)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {reply.content_type}\r\nx-request-id: req_1\r\nrequest-id: req_1\r\n"
        if not reply.streamed:
            body = b"".join(reply.parts)
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + (b"" if request.method == "HEAD" else body))
            return True
        client.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for number, part in enumerate(reply.parts):
            if fault is not None and number == len(reply.parts) // 2:
                return self._fail(client, Fault(fault.kind.removesuffix("_midway")))
            try:
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            except OSError:
                self.gone_early += 1
                raise
            if self.pause_s and self._peer_left(client, self.pause_s):
                self.gone_early += 1
                return False
        client.sendall(b"0\r\n\r\n")
        return True

    def _fail(self, client: socket.socket, fault: Fault) -> bool:
        if fault.kind == "status":
            extra = "".join(f"{k}: {v}\r\n" for k, v in fault.headers)
            head = (
                f"HTTP/1.1 {fault.status} X\r\ncontent-type: application/json\r\n{extra}content-length: {len(fault.body)}\r\n\r\n"
            )
            client.sendall(head.encode() + fault.body)
            return True
        if fault.kind == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault.kind == "garbage":
            client.sendall(b"\x00\x01this is not HTTP\r\n\r\n")
        elif fault.kind == "stall":
            while not self._closing.is_set():
                if self._peer_left(client, 0.05):
                    self.gone_early += 1
                    break
        return False

    def _peer_left(self, client: socket.socket, wait_s: float) -> bool:
        """Wait, and tell whether the peer closed meanwhile."""
        client.settimeout(wait_s)
        try:
            return client.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            client.settimeout(None)


def _read(reader: Any, client: socket.socket) -> Received | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    headers: dict[str, str] = {}
    for line in head.split(b"\r\n")[1:-2]:
        name, _, value = line.decode("latin-1").partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Received(method, target, head[:-4], headers, _read_body(reader, headers))


def _read_body(reader: Any, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        return bytes(reader.read(int(headers.get("content-length") or 0)))
    body = b""
    while size := int(reader.readline().split(b";")[0], 16):
        body += reader.read(size)
        reader.readline()
    while reader.readline() not in (b"\r\n", b""):
        pass
    return body
