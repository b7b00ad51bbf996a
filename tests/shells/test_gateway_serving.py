"""The gateway's client side on real sockets: framing, pipelining, half-closed clients, limits, refusals."""

from __future__ import annotations

import asyncio
import json

import pytest

from llmcp.core.http import Forward, RequestHead, Respond
from llmcp.core.settings import LimitSettings
from llmcp.runtime.exchange_port import serve_handler
from llmcp.runtime.http1 import HttpRefusalError
from shells.gateway_support import (
    GET,
    GET_CLOSE,
    LOOPS,
    OK,
    Rig,
    answering,
    post,
    read_request,
    read_response,
    rig,
    run,
)

pytestmark = pytest.mark.parametrize("loop_kind", LOOPS)


def test_a_request_goes_through_and_its_answer_comes_back(loop_kind: str) -> None:
    """Bytes of the body are the same both ways, and the exchange is told each step once, `finished` last."""
    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        async with rig(answering(OK, seen=seen)) as r:
            answer = await r.ask(post(b"hello", b"X-A: b"))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\nok")
            assert b"connection: close" in answer
            assert r.told() == [("head", "POST", "/x"), ("body", 5), ("status", 200), ("data", 2), "end", "finished"]
            head, body = seen[0]
            assert b"x-a: b\r\n" in head
            assert b"connection" not in head
            assert body == b"hello"

    run(loop_kind, scenario())


def test_a_connection_carries_many_requests_and_so_does_the_providers(loop_kind: str) -> None:
    """Keep-alive on both sides: one client connection, one upstream connection."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            for _ in range(5):
                writer.write(GET)
                _, body = await read_response(reader)
                assert body == b"ok"
            assert r.pool.open_connections == 1
            writer.close()

    run(loop_kind, scenario())


def test_pipelined_requests_are_answered_in_order_one_at_a_time(loop_kind: str) -> None:
    """The second reaches the provider only when the first is answered."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            path = head.split(b" ")[1]
            await asyncio.sleep(0.01 if path == b"/1" else 0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(path), path))

    async def scenario() -> None:
        async with rig(talk) as r:
            lines = [b"GET /%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % n for n in range(1, 5)]
            lines.append(
                b"POST /5 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + GET_CLOSE
            )
            answer = await r.ask(b"".join(lines))
            assert [part[-2:] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [b"/1", b"/2", b"/3", b"/4", b"/5", b"/x"]
            assert [e.told[0][2] for e in r.exchanges] == ["/1", "/2", "/3", "/4", "/5", "/x"]

    run(loop_kind, scenario())


def test_ten_thousand_pipelined_requests_neither_recurse_nor_pile_up(loop_kind: str) -> None:
    """Requests that are answered on the spot are taken in a loop, and a client that does not read is not served ahead."""

    async def scenario() -> None:
        async with rig(local=lambda _head: Respond(200, (), b"here")) as r:
            answer = await r.ask(GET * 10_000 + GET_CLOSE)
            assert answer.count(b"here") == 10_001

    run(loop_kind, scenario())


def test_a_half_closed_client_gets_its_answer(loop_kind: str) -> None:
    """The end of the client's sending side is not its end."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(0.1)
        writer.write(OK)

    async def scenario() -> None:
        async with rig(talk) as r:
            answer = await r.ask(GET, eof=True)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert answer.endswith(b"ok")
            assert r.told()[-2:] == ["end", "finished"]

    run(loop_kind, scenario())


def test_a_half_closed_client_gets_a_slow_stream_and_all_pipelined_answers(loop_kind: str) -> None:
    """Probes change nothing that a client reads, and what it pipelined before its end is served."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in (b"one", b"two"):
                writer.write(b"3\r\n%b\r\n" % piece)
                await asyncio.sleep(0.2)
            writer.write(b"0\r\n\r\n")

    async def scenario() -> None:
        async with rig(talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET + GET)
            writer.write_eof()
            for _ in range(2):
                _, body = await read_response(reader)
                assert body == b"onetwo"
            assert await reader.read() == b""
            writer.close()

    run(loop_kind, scenario())


def test_head_has_no_body_and_keeps_the_connection(loop_kind: str) -> None:
    """The provider's length is named to the client; both connections go on."""

    async def scenario() -> None:
        async with rig(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", OK)) as r:
            answer = await r.ask(GET.replace(b"GET", b"HEAD") + GET_CLOSE)
            head, rest = answer.split(b"\r\n\r\n", 1)
            assert b"content-length: 99" in head
            assert rest.startswith(b"HTTP/1.1 200 OK")
            assert r.pool.open_connections == 1

    run(loop_kind, scenario())


def test_a_continue_is_sent_only_when_the_exchange_wants_the_body(loop_kind: str) -> None:
    """A request that is refused by its head gets its answer instead, and the connection ends."""
    ask = b"POST /x HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"

    async def wanted() -> None:
        async with rig(answering(OK)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(ask)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            head, body = await read_response(reader)
            assert (head[9:12], body) == (b"200", b"ok")
            writer.close()

    async def unwanted() -> None:
        async with rig(on_head=lambda _head: Respond(403, (), b"no")) as r:
            answer = await r.ask(ask)
            assert answer.startswith(b"HTTP/1.1 403")
            assert b"connection: close" in answer
            assert b"100 Continue" not in answer

    run(loop_kind, wanted())
    run(loop_kind, unwanted())


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chunked_body_is_taken_whole_or_streamed_through(loop_kind: str, streamed: bool) -> None:
    """Read whole it goes on with a length, streamed it stays chunked; the bytes are the same."""
    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        async with rig(answering(OK, seen=seen), read_limit=None if streamed else 1000) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel")
            await asyncio.sleep(0.02)
            writer.write(b"\r\n2\r\nlo\r\n0\r\nsum: 1\r\n\r\n" + GET_CLOSE)
            assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 2
            writer.close()
            assert seen[0][1] == b"hello"
            assert (b"transfer-encoding: chunked" in seen[0][0]) is streamed
            assert (b"content-length: 5" in seen[0][0]) is not streamed

    run(loop_kind, scenario())


def test_a_body_with_a_length_is_streamed_through_with_that_length(loop_kind: str) -> None:
    """An upload of some megabytes arrives as it was sent."""
    seen: list[tuple[bytes, bytes]] = []
    body = bytes(range(256)) * 8000

    async def scenario() -> None:
        async with rig(answering(OK, seen=seen), read_limit=None) as r:
            assert (await r.ask(post(body))).endswith(b"ok")
            assert b"content-length: %d\r\n" % len(body) in seen[0][0]
            assert seen[0][1] == body

    run(loop_kind, scenario())


def test_http_1_0_is_served_and_closed(loop_kind: str) -> None:
    """No chunks, no keep-alive, no host needed."""
    stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

    async def scenario() -> None:
        async with rig(answering(stream)) as r:
            answer = await r.ask(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert answer.endswith(b"connection: close\r\n\r\nok")
            assert b"transfer-encoding" not in answer

    run(loop_kind, scenario())


@pytest.mark.parametrize("value", [b"websocket", b"TLS/1.0", b"h2c, websocket"])
def test_an_upgrade_gets_426_and_a_close(loop_kind: str, value: bytes) -> None:
    """So a client falls back to plain HTTP at once; no exchange hears of it."""
    ask = b"GET /v1/responses HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: " + value + b"\r\n\r\n"

    async def scenario() -> None:
        async with rig() as r:
            answer = await r.ask(ask)
            assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
            assert b"connection: close\r\n" in answer
            assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["message"]
            assert r.exchanges == []

    run(loop_kind, scenario())


def test_an_offer_of_h2c_is_ignored(loop_kind: str) -> None:
    """The request is served as HTTP/1.1, and what the client pipelined behind it too."""
    ask = (
        b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n"
    )

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            assert (await r.ask(ask + GET_CLOSE)).count(b"HTTP/1.1 200 OK") == 2

    run(loop_kind, scenario())


def test_a_local_answer_comes_first_and_needs_no_exchange(loop_kind: str) -> None:
    """Health and foreign hosts are answered before anything else."""

    def local(head: RequestHead) -> Respond | None:
        return Respond(200, ((b"content-type", b"text/plain"),), b"fine") if head.target == "/healthz" else None

    async def scenario() -> None:
        async with rig(answering(OK), local=local) as r:
            answer = await r.ask(b"HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n" + GET_CLOSE.replace(b"/x", b"/healthz"))
            assert answer.count(b"HTTP/1.1 200 OK") == 2
            assert answer.count(b"fine") == 1
            assert r.exchanges == []
            assert (await r.ask(GET_CLOSE)).endswith(b"ok")

    run(loop_kind, scenario())


@pytest.mark.parametrize("how", ["length", "chunks"])
def test_a_body_above_the_limit_is_refused_in_the_exchanges_words(loop_kind: str, how: str) -> None:
    """By its announced length before a byte of it is read, else as soon as it grows too large; the client reads its 413."""
    head = b"POST /x HTTP/1.1\r\nhost: localhost\r\n"

    async def scenario() -> None:
        async with rig(read_limit=1000) as r:
            if how == "length":
                answer = await r.ask(head + b"content-length: 1001\r\n\r\n")
            else:
                answer = await r.ask(
                    head + b"transfer-encoding: chunked\r\n\r\n" + b"100\r\n" * 1 + b"a" * 256 + b"\r\n2000\r\n" + b"a" * 5000
                )
            assert answer.startswith(b"HTTP/1.1 413")
            assert b"connection: close" in answer
            assert answer.endswith(b"too large")
            assert r.told()[-2:] == ["too large", "finished"]
            assert r.bugs == []

    run(loop_kind, scenario())


def test_an_early_refusal_reaches_a_client_that_is_still_sending(loop_kind: str) -> None:
    """Unread input is drained before the close: a reset would take the answer with it."""

    async def scenario() -> None:
        async with rig(on_head=lambda _head: Respond(401, (), b"who are you")) as r:
            answer = await r.ask(post(b"a" * 3_000_000))
            assert answer.startswith(b"HTTP/1.1 401")
            assert answer.endswith(b"who are you")

    run(loop_kind, scenario())


def test_a_small_body_that_nobody_wants_does_not_cost_the_connection(loop_kind: str) -> None:
    """It is dropped when it comes, and the next request is served."""

    async def scenario() -> None:
        async with rig(on_head=lambda _head: Respond(404, (), b"none")) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n")
            assert (await read_response(reader))[1] == b"none"
            writer.write(b"hello" + GET_CLOSE)
            assert (await read_response(reader))[1] == b"none"
            assert len(r.exchanges) == 2
            writer.close()

    run(loop_kind, scenario())


def test_too_large_a_head_is_431(loop_kind: str) -> None:
    """In one piece, and when it drips in without an end."""
    limits = LimitSettings(header_bytes=2048)

    async def scenario() -> None:
        async with rig(limits=limits) as r:
            for tail in (b"\r\n\r\n", b""):
                answer = await r.ask(b"GET /x HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 3000 + tail)
                assert answer.startswith(b"HTTP/1.1 431")
            assert r.exchanges == []

    run(loop_kind, scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"GET /\r\n",
        b"GET / HTTP/1.1\nhost: localhost\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET http://example.com/ HTTP/1.1\r\nhost: example.com\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;" + b"e" * 600,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_hostile_framing_is_a_400_and_a_close_and_nothing_is_forwarded(loop_kind: str, data: bytes) -> None:
    """One answer, well formed, whatever follows on the wire."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            answer = await r.ask(data)
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.count(b"\r\n\r\n") == 1
            assert b"connection: close" in answer
            assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "llmcp_bad_request"
            assert r.pool.open_connections == 0
            for exchange in r.exchanges:
                assert exchange.told[-2:] == ["gone", "finished"]
            assert r.bugs == []

    run(loop_kind, scenario())


def test_a_request_behind_a_bad_one_is_not_read(loop_kind: str) -> None:
    """Requests before it are served, then the connection ends."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            answer = await r.ask(GET + b"GET / HTTP/1.1\r\nhost: a\r\nx y\r\n\r\n" + GET)
            assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
            assert len(r.exchanges) == 1

    run(loop_kind, scenario())


def test_over_the_connection_limit_a_client_is_told_so(loop_kind: str) -> None:
    """503 and a close; a place that becomes free is given again."""

    async def scenario() -> None:
        async with rig(answering(OK), limits=LimitSettings(max_connections=1)) as r:
            _, writer = await asyncio.open_connection("127.0.0.1", r.port)
            await r.until(lambda: r.gateway.open_connections == 1)
            assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 503")
            writer.close()
            await r.until(lambda: r.gateway.open_connections == 0)
            assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 200")

    run(loop_kind, scenario())


def test_one_empty_line_before_a_request_is_forgiven(loop_kind: str) -> None:
    """RFC 9112 section 2.2."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            assert (await r.ask(b"\r\n" + GET_CLOSE)).startswith(b"HTTP/1.1 200")

    run(loop_kind, scenario())


def test_empty_lines_do_not_hold_a_connection_open(loop_kind: str) -> None:
    """The second is refused."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            assert (await r.ask(b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(b"\r\n")
            await asyncio.sleep(0.01)
            writer.write(b"\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            writer.close()

    run(loop_kind, scenario())


def test_a_clock_that_stood_still_while_nobody_was_there_ends_no_connection(loop_kind: str) -> None:
    """The first client after a pause has its full time."""

    async def scenario() -> None:
        async with rig(answering(OK), limits=LimitSettings(header_timeout_s=0.3)) as r:
            await asyncio.sleep(0.5)
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            await asyncio.sleep(0.1)
            writer.write(GET_CLOSE)
            assert (await reader.read()).endswith(b"ok")
            writer.close()

    run(loop_kind, scenario())


def test_a_body_of_very_many_tiny_chunks_arrives_whole(loop_kind: str) -> None:
    """Taken in turns, half-closed or not."""
    body = (
        b"POST /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000
    )
    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        async with rig(answering(OK, seen=seen)) as r:
            for eof in (False, True):
                assert (await r.ask(body + b"0\r\n\r\n", eof=eof)).endswith(b"ok")
            assert [len(b) for _, b in seen] == [50_000, 50_000]

    run(loop_kind, scenario())


def test_a_post_without_a_body_says_so_upstream(loop_kind: str) -> None:
    """Its length is nothing, streamed through or not."""
    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        for limit in (None, 100):
            async with rig(answering(OK, seen=seen), read_limit=limit) as r:
                await r.ask(b"POST /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert all(b"content-length: 0\r\n" in head for head, _ in seen)

    run(loop_kind, scenario())


def test_a_body_that_the_exchange_did_not_ask_for_is_dropped(loop_kind: str) -> None:
    """What goes upstream is what the exchange said; the next request is read behind the dropped body."""
    seen: list[tuple[bytes, bytes]] = []

    async def scenario() -> None:
        place: list[Rig] = []

        def own_words(_head: RequestHead) -> Forward:
            return place[0].exchanges[-1].forward(b"own")

        async with rig(answering(OK, seen=seen), on_head=own_words) as r:
            place.append(r)
            assert (await r.ask(b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello" + GET_CLOSE)).count(
                b"200 OK"
            ) == 2
            assert [body for _, body in seen] == [b"own", b"own"]

    run(loop_kind, scenario())


def test_a_request_that_drips_in_byte_by_byte_is_the_same_request(loop_kind: str) -> None:
    """However the bytes are cut."""

    async def scenario() -> None:
        async with rig(answering(OK)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            for byte in post(b"hello"):
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            assert (await reader.read()).endswith(b"ok")
            writer.close()
            assert r.told()[1] == ("body", 5)

    run(loop_kind, scenario())


def test_a_plain_function_can_be_served(loop_kind: str) -> None:
    """The admin API needs no exchange of its own; its limit and its faults are answered too."""

    def handler(head: RequestHead, body: bytes) -> Respond:
        if head.target == "/fault":
            raise HttpRefusalError(500, "a bug")
        return Respond(200, ((b"content-type", b"text/plain"),), head.method.encode() + b" " + body)

    async def scenario() -> None:
        async with rig(open_exchange=serve_handler(handler, body_limit=100)) as r:
            assert (await r.ask(post(b"hello"))).endswith(b"POST hello")
            assert (await r.ask(post(b"a" * 101))).startswith(b"HTTP/1.1 413")
            assert (await r.ask(GET_CLOSE.replace(b"/x", b"/fault"))).startswith(b"HTTP/1.1 503")
            assert len(r.bugs) == 1

    run(loop_kind, scenario())


def test_the_clients_address_reaches_the_exchange(loop_kind: str) -> None:
    """As text, in the head and at the opening."""
    addresses: list[str] = []

    def handler(head: RequestHead, _body: bytes) -> Respond:
        addresses.append(head.client_ip)
        return Respond(200, (), b"")

    async def scenario() -> None:
        async with rig(open_exchange=lambda ip: addresses.append(ip) or serve_handler(handler)(ip)) as r:
            await r.ask(GET_CLOSE)
        assert addresses == ["127.0.0.1", "127.0.0.1"]

    run(loop_kind, scenario())
