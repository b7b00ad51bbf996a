"""Flow control, cancelling, deadlines of clients, draining, and what the exchange may say in mid-response."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

import pytest

from llmcp.core.http import Cut, Hold, Replay, Respond, ResponseStart, Timeouts
from llmcp.core.settings import LimitSettings
from shells.gateway_support import GET, GET_CLOSE, LOOPS, OK, answering, read_request, read_response, rig, run

pytestmark = pytest.mark.parametrize("loop_kind", LOOPS)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MEGABYTE = b"a" * 1_000_000


class Flood:
    """A provider that sends 50 MB as fast as it is read, and counts what it could hand over."""

    def __init__(self) -> None:
        self.sent = 0
        self.closed = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send it."""
        await read_request(reader)
        writer.write(HEAD + b"content-length: 50000000\r\n\r\n")
        try:
            for _ in range(50):
                writer.write(MEGABYTE)
                await writer.drain()
                self.sent += 1
        finally:
            self.closed = True


async def settle(flood: Flood) -> None:
    """Wait until the flood stands still."""
    before = -1
    while before != flood.sent:
        before = flood.sent
        await asyncio.sleep(0.15)


async def small_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with small buffers, so that the kernel holds little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=sock, limit=65536)


def test_a_provider_is_not_read_while_the_client_does_not_read(loop_kind: str) -> None:
    """Of 50 MB only what buffers hold goes anywhere; once the client reads, all of it arrives."""
    flood = Flood()

    async def scenario() -> None:
        async with rig(flood.talk) as r:
            reader, writer = await small_client(r.port)
            writer.write(GET_CLOSE)
            await settle(flood)
            assert flood.sent < 20
            taken = sum(t[1] for t in r.told() if t[0] == "data")
            assert taken < 5_000_000
            body = (await reader.read()).split(b"\r\n\r\n", 1)[1]
            assert len(body) == 50_000_000
            writer.close()
            assert r.told()[-2:] == ["end", "finished"]

    run(loop_kind, scenario())


def test_a_client_is_not_read_while_the_provider_does_not_read(loop_kind: str) -> None:
    """An upload of 50 MB waits in the client; when the provider reads on, all of it arrives."""
    gate = asyncio.Event()
    got = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        await gate.wait()
        while got < 50_000_000:
            got += len(await reader.read(1_000_000))
        writer.write(OK)

    async def scenario() -> None:
        async with rig(talk, read_limit=None) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 50000000\r\n\r\n")
            sent = 0

            async def upload() -> None:
                nonlocal sent
                for _ in range(50):
                    writer.write(MEGABYTE)
                    await writer.drain()
                    sent += 1

            async with asyncio.TaskGroup() as group:
                group.create_task(upload())
                before = -1
                while before != sent:
                    before = sent
                    await asyncio.sleep(0.15)
                assert sent < 25
                gate.set()
            assert (await reader.read()).endswith(b"ok")
            writer.close()
            assert got == 50_000_000

    run(loop_kind, scenario())


def test_a_client_that_never_reads_is_cut_and_the_provider_cancelled(loop_kind: str) -> None:
    """After the write timeout without progress."""
    flood = Flood()

    async def scenario() -> None:
        async with rig(flood.talk, limits=LimitSettings(client_write_timeout_s=0.3)) as r:
            _, writer = await small_client(r.port)
            writer.write(GET)
            await r.until(lambda: r.gateway.open_connections == 1)
            await r.until(lambda: r.gateway.open_connections == 0)
            assert r.told()[-2:] == ["gone", "finished"]
            await r.until(lambda: flood.closed)
            writer.close()

    run(loop_kind, scenario())


class Waiting:
    """A provider that begins as told, then waits; it notes when it is left."""

    def __init__(self, beginning: bytes, *, drip: bytes = b"") -> None:
        self.beginning = beginning
        self.drip = drip
        self.asked = False
        self.left = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait for the end of the connection."""
        await read_request(reader)
        self.asked = True
        writer.write(self.beginning)
        while self.drip:
            writer.write(self.drip)
            await asyncio.sleep(0.01)
            if reader.at_eof():
                break
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.left = True


async def leave(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close a client's connection, in order or with a reset."""
    if reset:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


# An orderly close within a body of known length shows only with the next bytes: that case has a test of its own.
@pytest.mark.parametrize(
    ("beginning", "reset"),
    [
        (b"", False),
        (b"", True),
        (CHUNKS, False),
        (CHUNKS, True),
        (CHUNKS + b"5\r\nhello\r\n", False),
        (HEAD + b"content-length: 9\r\n\r\nhello", True),
    ],
)
def test_a_client_that_leaves_cancels_the_provider(loop_kind: str, beginning: bytes, reset: bool) -> None:
    """Before the answer and within it, closed in order or reset; the exchange is told, once."""
    provider = Waiting(beginning)

    async def scenario() -> None:
        async with rig(provider.talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await r.until(lambda: provider.asked)
            if beginning:
                await reader.readuntil(b"\r\n\r\n")
            await leave(writer, reset=reset)
            await r.until(lambda: provider.left)
            assert r.told()[-2:] == ["gone", "finished"]
            assert r.told().count("finished") == 1
            assert r.pool.open_connections == 0
            await r.until(lambda: r.gateway.open_connections == 0)

    run(loop_kind, scenario())


def test_a_client_that_leaves_a_running_stream_cancels_the_provider(loop_kind: str) -> None:
    """The stream's own bytes show that nobody reads."""
    provider = Waiting(HEAD + b"content-length: 1000000\r\n\r\n", drip=b"hello")

    async def scenario() -> None:
        async with rig(provider.talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\nhello")
            await leave(writer, reset=False)
            await r.until(lambda: provider.left)
            assert r.told()[-2:] == ["gone", "finished"]

    run(loop_kind, scenario())


def test_a_client_that_leaves_while_the_provider_is_being_connected_is_noticed(loop_kind: str) -> None:
    """The attempt is cancelled."""

    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> None:
        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        place = server.sockets[0].getsockname()[1]
        from llmcp.core.http import Origin

        async with rig(origin=Origin("https", "127.0.0.1", place)) as r:
            _, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await r.until(lambda: len(r.exchanges) == 1)
            await leave(writer, reset=True)
            await r.until(lambda: r.told()[-1] == "finished")
            assert r.told()[-2] == "gone"
        server.close()

    run(loop_kind, scenario())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_leaves_in_mid_upload_never_completes_it(loop_kind: str, chunked: bool) -> None:
    """The provider must not take half a body for a whole one."""
    bodies: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.read())

    length = b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n" if chunked else b"content-length: 100\r\n\r\nhello"

    async def scenario() -> None:
        async with rig(talk, read_limit=None) as r:
            await r.ask(b"POST /x HTTP/1.1\r\nhost: localhost\r\n" + length, eof=True)
            await r.until(lambda: r.told()[-1] == "finished")
            assert r.told()[-2] == "gone"
            await r.until(lambda: bool(bodies) or r.pool.open_connections == 0)
            assert not any(body.endswith(b"0\r\n\r\n") for body in bodies)

    run(loop_kind, scenario())


# --- slow clients


@pytest.mark.parametrize(
    ("data", "limits", "status"),
    [
        (b"", {"header_timeout_s": 0.1}, b""),
        (b"GET /x HT", {"header_timeout_s": 0.1}, b"408"),
        (b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhell", {"body_idle_timeout_s": 0.1}, b"408"),
        (b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", {"body_idle_timeout_s": 0.1}, b"408"),
        (GET, {"keep_alive_s": 0.1}, b"200"),
    ],
)
def test_a_client_that_is_too_slow_is_let_go(loop_kind: str, data: bytes, limits: dict[str, float], status: bytes) -> None:
    """Without a head, in it, in the body, and between two requests; an exchange that was open hears of it."""

    async def scenario() -> None:
        async with rig(answering(OK), limits=LimitSettings(**limits)) as r:  # type: ignore[arg-type]
            answer = await r.ask(data)
            assert answer[9:12] == status
            assert answer.count(b"HTTP/1.1 ") == (1 if status else 0)
            await r.until(lambda: r.gateway.open_connections == 0)
            for exchange in r.exchanges:
                assert exchange.told[-1] == "finished"

    run(loop_kind, scenario())


def test_a_head_that_drips_is_timed_from_its_first_byte(loop_kind: str) -> None:
    """One byte at a time does not win more time."""

    async def scenario() -> None:
        async with rig(limits=LimitSettings(header_timeout_s=0.2)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"GET /x HTTP/1.1\r\nx: ")
            while not reader.at_eof():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"a")
                    await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1000), 0.02)
            writer.close()
            assert r.exchanges == []

    run(loop_kind, scenario())


# --- what the exchange may say in mid-response


def test_a_held_response_is_let_go_whole_or_answered_otherwise(loop_kind: str) -> None:
    """Nothing is sent before; an answer of the exchange's own cancels the provider."""
    start = ResponseStart(200, ((b"x-a", b"b"),), 4)
    provider = Waiting(CHUNKS + b"5\r\nhello\r\n")

    async def scenario() -> None:
        held: dict[str, Any] = {"on_response_head": lambda _s, _h: Hold(), "on_data": lambda _d: b""}
        async with rig(answering(OK), on_end=lambda: Replay(start, b"held"), **held) as r:
            answer = await r.ask(GET_CLOSE)
            assert b"x-a: b\r\n" in answer
            assert answer.endswith(b"\r\n\r\nheld")
        async with rig(answering(OK), on_end=lambda: Respond(403, (), b"no"), **held) as r:
            assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 403")
        held["on_data"] = lambda _d: Respond(403, (), b"no")
        async with rig(provider.talk, **held) as r:
            assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 403")
            await r.until(lambda: provider.left)
            assert r.told()[-1] == "finished"
            assert r.bugs == []

    run(loop_kind, scenario())


def test_a_clean_cut_ends_the_stream_in_order_and_keeps_the_connection(loop_kind: str) -> None:
    """The dialect's terminal event is the last the client reads; the provider is cancelled."""
    provider = Waiting(CHUNKS + b"5\r\nhello\r\n")

    async def scenario() -> None:
        async with rig(provider.talk, on_data=lambda _d: Cut(b"stop")) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            for _ in range(2):
                writer.write(GET)
                assert (await read_response(reader))[1] == b"stop"
            writer.close()
            await r.until(lambda: provider.left)
            assert r.exchanges[0].told[-1] == "finished"

    run(loop_kind, scenario())


@pytest.mark.parametrize("length", [b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"content-length: 50\r\n\r\nhello"])
def test_an_unclean_cut_is_seen_as_a_truncation(loop_kind: str, length: bytes) -> None:
    """No last chunk, and no full length; so is a clean cut where a length was announced."""

    async def scenario() -> None:
        for clean in (False, b"content-length" in length):
            provider = Waiting(HEAD + length)
            async with rig(provider.talk, on_data=lambda _d, c=clean: Cut(b"stop", clean=c)) as r:
                answer = await r.ask(GET)
                await r.until(lambda p=provider: p.left)
                assert b"stop" in answer
                assert not answer.endswith(b"0\r\n\r\n")
                assert r.told()[-1] == "finished"
                assert r.bugs == []

    run(loop_kind, scenario())


def test_an_unclean_cut_of_an_http_1_0_stream_is_a_reset(loop_kind: str) -> None:
    """There an orderly close would look like the end."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKS + b"5\r\nhello\r\n")
        await gate.wait()
        writer.write(b"1\r\na\r\n")
        await reader.read()

    async def scenario() -> None:
        async with rig(talk, on_data=lambda d: Cut(b"", clean=False) if d == b"a" else d) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"GET /x HTTP/1.0\r\n\r\n")
            await reader.readuntil(b"hello")
            gate.set()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(loop_kind, scenario())


def test_a_provider_that_fails_in_mid_stream_can_be_ended_with_an_event(loop_kind: str) -> None:
    """The exchange words the failure as the dialect's own terminal event."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKS + b"5\r\nhello\r\n")
        await writer.drain()

    async def scenario() -> None:
        async with rig(talk, on_failed=lambda _k, _w: Cut(b"event: error\n\n")) as r:
            answer = await r.ask(GET_CLOSE)
            assert answer.endswith(b"\r\nevent: error\n\n\r\n0\r\n\r\n")

    run(loop_kind, scenario())


# --- bugs


def boom(*_args: object) -> Any:
    """Be a bug."""
    msg = "a bug"
    raise RuntimeError(msg)


@pytest.mark.parametrize("where", ["on_head", "on_body", "on_response_head", "on_failed"])
def test_a_bug_before_the_response_is_a_503_and_nothing_more_is_forwarded(loop_kind: str, where: str) -> None:
    """Fail closed: refused, told to the log, settled."""
    seen: list[tuple[bytes, bytes]] = []
    answer = b"nonsense\r\n\r\n" if where == "on_failed" else OK

    async def scenario() -> None:
        async with rig(answering(answer, seen=seen), **{where: boom}) as r:
            got = await r.ask(GET)
            assert got.startswith(b"HTTP/1.1 503")
            assert b"connection: close" in got
            assert b"llmcp_unavailable" in got
            assert b"a bug" not in got
            assert [str(b) for b in r.bugs] == ["a bug"]
            assert r.told()[-1] == "finished"
            assert r.pool.open_connections == 0 or where == "on_response_head"
            assert len(seen) == (0 if where in {"on_head", "on_body"} else 1)

    run(loop_kind, scenario())


@pytest.mark.parametrize("where", ["on_data", "on_end"])
def test_a_bug_within_the_response_breaks_it_off(loop_kind: str, where: str) -> None:
    """The client sees a truncation, or a 503 where not even the head was sent."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKS)
        await gate.wait()
        writer.write(b"5\r\nhello\r\n0\r\n\r\n")

    async def scenario() -> None:
        async with rig(talk, **{where: boom}) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            gate.set()
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
            writer.close()
            assert len(r.bugs) == 1
            assert r.told()[-1] == "finished"
            assert r.told().count("finished") == 1
        async with rig(answering(OK), **{where: boom}) as r:
            assert (await r.ask(GET)).startswith(b"HTTP/1.1 503")
            assert r.told().count("finished") == 1

    run(loop_kind, scenario())


@pytest.mark.parametrize(
    "script",
    [
        {"on_data": lambda _d: b"longer than announced"},
        {"on_data": lambda _d: b""},
        {"on_response_head": lambda s, _h: ResponseStart(s, ((b"x", b"a\r\nset-cookie: b"),), 2)},
        {"on_response_head": lambda _s, _h: Hold()},
        {"on_data": lambda _d: Respond(200, (), b"")},
        {"on_end": lambda: Replay(ResponseStart(200, (), 0), b"")},
        {"on_head": lambda _h: Respond(200, ((b"x", b"a\nb"),), b"")},
        {"on_head": lambda _h: None},
    ],
)
def test_an_exchange_that_breaks_its_contract_is_a_bug_too(loop_kind: str, script: dict[str, Any]) -> None:
    """Wrong lengths, header injection, an answer twice, a replay of what was not held."""

    async def scenario() -> None:
        async with rig(answering(OK), **script) as r:
            assert (await r.ask(GET)).startswith(b"HTTP/1.1 503")
            assert len(r.bugs) == 1
            assert r.told()[-1] == "finished"
            assert r.told().count("finished") == 1

    run(loop_kind, scenario())


def test_a_fault_of_the_local_hook_or_of_the_opening_refuses(loop_kind: str) -> None:
    """Neither lets a request through."""

    async def scenario() -> None:
        for fault in ({"local": boom}, {"open_exchange": boom}):
            async with rig(answering(OK), **fault) as r:  # type: ignore[arg-type]
                assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 503")
                assert len(r.bugs) == 1

    run(loop_kind, scenario())


# --- the end


def test_draining_closes_idle_connections_and_finishes_open_requests(loop_kind: str) -> None:
    """Nothing new is accepted; a running stream ends whole, with nothing cut."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKS + b"5\r\nhello\r\n")
        await gate.wait()
        writer.write(b"0\r\n\r\n")

    async def scenario() -> None:
        async with rig(talk) as r:
            idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", r.port)
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await reader.readuntil(b"hello\r\n")
            draining = asyncio.ensure_future(r.gateway.drain(10))
            assert await idle_reader.read() == b""
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", r.port)
            assert not draining.done()
            gate.set()
            assert await reader.read() == b"0\r\n\r\n"
            assert await draining == 0
            assert r.told()[-2:] == ["end", "finished"]
            idle_writer.close()
            writer.close()

    run(loop_kind, scenario())


def test_a_response_that_begins_while_draining_says_close(loop_kind: str) -> None:
    """So that the client does not send another request into the void."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await gate.wait()
        writer.write(OK)

    async def scenario() -> None:
        async with rig(talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await r.until(lambda: len(r.exchanges) == 1)
            draining = asyncio.ensure_future(r.gateway.drain(10))
            await asyncio.sleep(0)
            gate.set()
            assert b"connection: close\r\n" in await reader.read()
            assert await draining == 0
            writer.close()

    run(loop_kind, scenario())


def test_what_is_open_at_the_drains_deadline_is_cut_and_settled(loop_kind: str) -> None:
    """The exchange hears that its client is gone, and finishes."""

    async def scenario() -> None:
        async with rig(Waiting(CHUNKS).talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            assert await r.gateway.drain(0.05) == 1
            assert r.told()[-2:] == ["gone", "finished"]
            writer.close()

    run(loop_kind, scenario())


def test_a_provider_that_answers_before_the_upload_ends_is_heard(loop_kind: str) -> None:
    """Its answer goes to the client; neither connection is used again."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await reader.read()

    async def scenario() -> None:
        async with rig(talk, read_limit=None) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\nhello")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 413")
            assert b"connection: close" in answer
            assert r.told()[-1] == "finished"
            assert r.pool.open_connections == 0
            writer.close()

    run(loop_kind, scenario())


def test_a_bad_chunk_behind_a_response_that_has_begun_breaks_it_off(loop_kind: str) -> None:
    """There is no second answer in the middle of the first."""
    provider = Waiting(b"")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKS + b"5\r\nhello\r\n")
        await reader.read()
        provider.left = True

    async def scenario() -> None:
        async with rig(talk, read_limit=None) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await reader.readuntil(b"hello\r\n")
            writer.write(b"zz\r\n")
            with pytest.raises(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            await r.until(lambda: provider.left)
            assert r.told()[-2:] == ["gone", "finished"]

    run(loop_kind, scenario())


def test_a_bad_chunk_in_mid_upload_cancels_the_provider(loop_kind: str) -> None:
    """The provider never sees the end of that body, the client a 400."""
    bodies: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.read())

    async def scenario() -> None:
        async with rig(talk, read_limit=None) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await r.until(lambda: r.pool.open_connections == 1)
            await asyncio.sleep(0.02)
            writer.write(b"zz\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            writer.close()
            assert r.told()[-2:] == ["gone", "finished"]
            await r.until(lambda: bool(bodies))
            assert not bodies[0].endswith(b"0\r\n\r\n")

    run(loop_kind, scenario())


def test_a_deadline_does_not_run_while_the_client_is_the_slow_one(loop_kind: str) -> None:
    """A provider that is not read because the client does not read is not silent."""
    flood = Flood()

    async def scenario() -> None:
        async with rig(flood.talk, timeouts=Timeouts(idle_s=0.1, first_byte_s=0.1)) as r:
            reader, writer = await small_client(r.port)
            writer.write(GET_CLOSE)
            await settle(flood)
            await asyncio.sleep(0.4)
            assert len((await reader.read()).split(b"\r\n\r\n", 1)[1]) == 50_000_000
            writer.close()
            assert r.told()[-2:] == ["end", "finished"]

    run(loop_kind, scenario())
