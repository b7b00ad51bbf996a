"""Hostile bytes against both sides of the gateway: never an unhandled exception, always a well-formed answer or a close."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcp.core.settings import LimitSettings
from shells.gateway_support import GET_CLOSE, LOOPS, OK, answering, read_request, rig, run

ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]+\r\n((?:[a-z0-9-]+: [^\r\n]*\r\n)*)\r\n")
QUICK = LimitSettings(header_bytes=2048, header_timeout_s=0.2, body_idle_timeout_s=0.2, keep_alive_s=0.2)

_WORDS = st.sampled_from(
    [
        b"GET ", b"POST ", b"/x", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"host: a\r\n", b"content-length: 5\r\n", b"content-length: 0\r\n",
        b"transfer-encoding: chunked\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n", b"upgrade: websocket\r\n", b"\r\n",
        b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\n", b"\r", b"\0", b" ", b":", b"HEAD ", b"OPTIONS * HTTP/1.1\r\n", b"x: y\r\n",
        b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", b"POST /x HTTP/1.1\r\nhost: a\r\n",
    ],
)  # fmt: skip
_REQUESTS = st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=14).map(b"".join)
_RESPONSES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n", b"content-length: 5\r\n",
                b"transfer-encoding: chunked\r\n", b"\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"connection: close\r\n",
                b"content-length: 0\r\n", b"HTTP/1.0 200 OK\r\n", b"\n", b"\r", b"\0", b"x: y\r\n", b"upgrade: x\r\nconnection: upgrade\r\n",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            ],
        ),
        st.binary(max_size=6),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip

fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_answers(data: bytes) -> None:
    """Read `data` as a sequence of answers; only the last may be broken off."""
    at = 0
    while at < len(data):
        matched = ANSWER.match(data, at)
        assert matched, data[at : at + 80]
        at = matched.end()
        length = re.search(rb"content-length: (\d+)\r\n", matched[2])
        if int(matched[1]) >= 400 and length:
            body = data[at : at + int(length[1])]
            assert len(body) == int(length[1]) or at + len(body) == len(data)
            at += int(length[1])
        elif int(matched[1]) != 100:
            # The provider's own body: what follows is compared by the tests of framing.
            return


@pytest.mark.parametrize("loop_kind", LOOPS)
@fuzzed
@given(data=_REQUESTS, cut=st.integers(0, 60), eof=st.booleans())
def test_hostile_requests_get_a_well_formed_answer_or_a_close(loop_kind: str, data: bytes, cut: int, eof: bool) -> None:
    """In two pieces, half-closed or not: every exchange is settled, nothing is a bug, no connection stays."""

    async def scenario() -> None:
        async with rig(answering(OK), limits=QUICK) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            with contextlib.suppress(ConnectionError):
                writer.write(data[:cut])
                await asyncio.sleep(0)
                writer.write(data[cut:])
                if eof:
                    writer.write_eof()
                check_answers(await reader.read())
            writer.close()
            await r.until(lambda: r.gateway.open_connections == 0)
            assert r.bugs == []
            assert all(e.told.count("finished") == 1 and e.told[-1] == "finished" for e in r.exchanges)

    run(loop_kind, scenario())


@pytest.mark.parametrize("loop_kind", LOOPS)
@fuzzed
@given(data=_RESPONSES, cut=st.integers(0, 60))
def test_hostile_answers_end_in_an_answer_or_a_break_and_leave_nothing_behind(loop_kind: str, data: bytes, cut: int) -> None:
    """Whatever a provider sends: the client's exchange is settled, and no poisoned connection is kept."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(data[:cut])
        await asyncio.sleep(0)
        writer.write(data[cut:])

    async def scenario() -> None:
        async with rig(talk, limits=QUICK) as r:
            check_answers(await r.ask(GET_CLOSE))
            assert r.bugs == []
            assert r.told().count("finished") == 1
            await r.until(lambda: r.pool.open_connections == 0)

    run(loop_kind, scenario())
