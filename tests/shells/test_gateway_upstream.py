"""The gateway's provider side on real sockets: framing of answers, hostile providers, reuse and repeats, TLS, deadlines."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmcp.core.http import Origin, Timeouts
from llmcp.ports import RefusalKind
from llmcp.runtime.upstream import default_tls_context
from shells.gateway_support import GET, GET_CLOSE, LOOPS, OK, answering, post, read_request, read_response, rig, run

pytestmark = pytest.mark.parametrize("loop_kind", LOOPS)

HEAD = b"HTTP/1.1 200 OK\r\n"


def once(answer: bytes, *, slowly: bool = False, stay: bool = False) -> Callable[..., Any]:
    """Return a provider that gives `answer` to one request (`slowly`: byte by byte) and closes, unless it is to `stay`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in [answer[n : n + 1] for n in range(len(answer))] if slowly else [answer]:
            writer.write(piece)
            await asyncio.sleep(0)
        if stay:
            await reader.read()

    return talk


GOOD = {
    "a length": (HEAD + b"content-length: 5\r\n\r\nhello", b"hello"),
    "an empty body": (HEAD + b"content-length: 0\r\n\r\n", b""),
    "chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello"),
    "chunks with a trailer": (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", b"hello"),
    "until the close": (HEAD + b"\r\nhello", b"hello"),
    "HTTP/1.0 until the close": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "interim answers first": (
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + HEAD + b"content-length: 5\r\n\r\nhello",
        b"hello",
    ),
    "no reason": (b"HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize(("answer", "body"), GOOD.values(), ids=GOOD)
def test_every_framing_of_an_answer_is_read(loop_kind: str, answer: bytes, body: bytes, slowly: bool) -> None:
    """In one piece and byte by byte: the client receives the same body."""

    async def scenario() -> None:
        async with rig(once(answer, slowly=slowly)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET)
            head, got = await read_response(reader)
            assert head.startswith(HEAD)
            assert got == body
            assert r.told()[-2:] == ["end", "finished"]
            writer.close()

    run(loop_kind, scenario())


@pytest.mark.parametrize(("status", "method"), [(204, b"GET"), (304, b"GET"), (200, b"HEAD")])
def test_an_answer_without_body_ends_with_its_head_and_leaves_a_good_connection(
    loop_kind: str, status: int, method: bytes
) -> None:
    """Even where its headers announce a body."""
    answer = b"HTTP/1.1 %d X\r\ncontent-length: 5\r\n\r\n" % status

    async def scenario() -> None:
        async with rig(answering(answer, OK)) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET.replace(b"GET", method))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 %d" % status)
            writer.write(GET)
            assert (await read_response(reader))[1] == b"ok"
            assert r.pool.open_connections == 1
            writer.close()

    run(loop_kind, scenario())


HOSTILE = {
    "both lengths": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "the same length twice": HEAD + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"content-length: 5, 5\r\n\r\nhello",
    "a signed length": HEAD + b"content-length: +5\r\n\r\nhello",
    "a huge length": HEAD + b"content-length: 99999999999999999999999\r\n\r\nhello",
    "another coding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk size": HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "a space before the colon": HEAD + b"content-length : 5\r\n\r\nhello",
    "a NUL in a value": HEAD + b"x: a\0b\r\n\r\n",
    "a name with a space": HEAD + b"x y: a\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a huge header": HEAD + b"x: " + b"a" * 20000 + b"\r\n\r\n",
    "a header without an end": HEAD + b"x: " + b"a" * 300_000,
    "many headers": HEAD + b"x: aaaaaaaaaa\r\n" * 3000 + b"\r\n",
    "nothing": b"",
    "half a head": HEAD + b"x: ",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_a_failed_upstream_and_never_reaches_the_client(loop_kind: str, answer: bytes) -> None:
    """The exchange words the failure, the connection is not used again."""

    async def scenario() -> None:
        async with rig(once(answer)) as r:
            got = await r.ask(GET_CLOSE)
            assert got.startswith(b"HTTP/1.1 502"), got
            assert b"provider" in got
            failed = r.told()[-2]
            assert failed[:2] == ("failed", "llmcp_upstream_failed")
            assert r.told()[-1] == "finished"
            assert r.pool.open_connections == 0
            assert r.bugs == []

    run(loop_kind, scenario())


TRUNCATED = {
    "a short length": HEAD + b"content-length: 10\r\n\r\nhello",
    "half a chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhe",
    "no last chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a broken chunk later": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n" + b" " * 40,
}


@pytest.mark.parametrize("answer", TRUNCATED.values(), ids=TRUNCATED)
def test_an_answer_that_breaks_off_is_seen_as_broken_by_the_client_too(loop_kind: str, answer: bytes) -> None:
    """No last chunk, no full length: a truncated stream must not look complete."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head, body = answer.split(b"\r\n\r\n", 1)
        writer.write(head + b"\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(body)

    async def scenario() -> None:
        async with rig(talk) as r:
            got = await r.ask(GET)
            assert got.startswith(HEAD)
            assert not got.endswith(b"0\r\n\r\n")
            assert r.told()[-2][0] == "failed"
            assert r.told()[-1] == "finished"
            assert r.pool.open_connections == 0

    run(loop_kind, scenario())


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"junk", b"\0"])
def test_bytes_behind_an_answer_never_become_the_next_answer(loop_kind: str, extra: bytes) -> None:
    """With the answer or after it: the connection is given up, the next request goes over a new one."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + extra)
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nreused")

    async def scenario() -> None:
        async with rig(talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            for _ in range(3):
                writer.write(GET)
                assert (await read_response(reader))[1] == b"ok"
            assert r.pool.open_connections == 0
            writer.close()

    run(loop_kind, scenario())


def test_unasked_bytes_on_an_idle_connection_close_it(loop_kind: str) -> None:
    """A provider that speaks first poisons nobody."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await reader.read()

    async def scenario() -> None:
        async with rig(talk) as r:
            assert (await r.ask(GET_CLOSE)).endswith(b"ok")
            await r.until(lambda: r.pool.open_connections == 0)
            assert (await r.ask(GET_CLOSE)).endswith(b"ok")

    run(loop_kind, scenario())


def dying(requests: list[bytes]) -> Callable[..., Any]:
    """Return a provider whose first connection answers once and dies over its second request; later ones answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        requests.append(head[:4])
        writer.write(OK)
        head, _ = await read_request(reader)
        requests.append(head[:4])
        if len(requests) > 2:
            writer.write(OK)

    return talk


def test_a_safe_request_on_a_reused_connection_that_dies_is_sent_once_more(loop_kind: str) -> None:
    """GET has no effect that a second time could double."""
    requests: list[bytes] = []

    async def scenario() -> None:
        async with rig(dying(requests)) as r:
            assert (await r.ask(GET + GET_CLOSE)).count(b"\r\n\r\nok") == 2
            assert requests == [b"GET "] * 3

    run(loop_kind, scenario())


def test_a_request_that_drew_a_byte_is_not_sent_again(loop_kind: str) -> None:
    """Not even a safe one: the provider was at work."""
    count = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        for answer in (OK, b"HTTP/1.1 20"):
            await read_request(reader)
            count += 1
            writer.write(answer)

    async def scenario() -> None:
        async with rig(talk) as r:
            answer = await r.ask(GET + GET_CLOSE)
            assert b"HTTP/1.1 502" in answer
            assert count == 2

    run(loop_kind, scenario())


def test_a_post_that_may_have_been_begun_is_never_sent_twice(loop_kind: str) -> None:
    """Nobody can know whether the provider began to work, and tokens cost money."""
    requests: list[bytes] = []

    async def scenario() -> None:
        async with rig(dying(requests)) as r:
            assert (await r.ask(GET + post(b"hello"))).count(b"HTTP/1.1 502") == 1
            assert requests == [b"GET ", b"POST"]

    run(loop_kind, scenario())


def test_a_safe_request_on_a_fresh_connection_is_not_repeated(loop_kind: str) -> None:
    """A provider that drops every connection is asked once."""
    count = 0

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await read_request(reader)
        count += 1

    async def scenario() -> None:
        async with rig(talk) as r:
            assert (await r.ask(GET_CLOSE)).startswith(b"HTTP/1.1 502")
            assert count == 1

    run(loop_kind, scenario())


def test_a_connection_that_died_while_idle_is_noticed_before_it_is_used(loop_kind: str) -> None:
    """Even a POST goes over a new one: nothing was sent on the dead one."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    async def scenario() -> None:
        async with rig(talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            for _ in range(5):
                writer.write(b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi")
                assert (await read_response(reader))[1] == b"ok"
            writer.close()
            assert all(e.told[-1] == "finished" for e in r.exchanges)

    run(loop_kind, scenario())


class Unheard:
    """A listener that listens to nothing."""

    def upstream_ready(self) -> None:
        """Nothing is streamed."""

    def upstream_blocked(self, *, blocked: bool) -> None:
        """Nothing is streamed."""

    def receive_upstream(self, head: Any, data: bytes, *, ended: bool) -> None:
        """Not looked at."""

    def upstream_failed(self, kind: RefusalKind, why: str) -> None:
        """Not looked at."""


@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"])
def test_a_connection_is_looked_at_before_the_loop_does(loop_kind: str, last: bytes) -> None:
    """Its end, or bytes that nobody asked for, may lie in the socket unread while a request is about to be written to it."""
    served = threading.Event()

    def provider(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        accepted.recv(65536)
        accepted.sendall(OK)
        served.wait()
        accepted.sendall(last)
        accepted.close()

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=provider, args=(listening,), daemon=True)
            thread.start()
            async with rig(origin=Origin("http", "127.0.0.1", listening.getsockname()[1])) as r:
                await r.ask(GET_CLOSE)
                assert r.pool.open_connections == 1
                # From here to `send` the loop sees nothing: the join blocks it.
                served.set()
                thread.join()
                call = r.pool.send(r.exchanges[0].forward(b""), Unheard())
                assert call.connection is None
                call.cancel()

    run(loop_kind, scenario())


@pytest.mark.parametrize("line", [b"connection: close\r\n", b"Connection: foo, Close\r\n"])
def test_a_provider_that_wants_to_close_is_not_asked_again_there(loop_kind: str, line: bytes) -> None:
    """Its connection is closed from our side too."""

    async def scenario() -> None:
        async with rig(once(HEAD + line + b"content-length: 2\r\n\r\nok", stay=True)) as r:
            assert (await r.ask(GET_CLOSE)).endswith(b"ok")
            assert r.pool.open_connections == 0

    run(loop_kind, scenario())


def test_idle_connections_are_closed_when_they_are_old(loop_kind: str) -> None:
    """Providers close theirs after a while; ours go first."""

    async def scenario() -> None:
        async with rig(answering(OK), idle_s=0.05) as r:
            await r.ask(GET_CLOSE)
            await r.until(lambda: r.pool.open_connections == 0)

    run(loop_kind, scenario())


def test_a_provider_that_is_not_there_is_said_in_clear_words(loop_kind: str) -> None:
    """Refused connection, unknown name."""

    async def scenario() -> None:
        async with rig(origin=Origin("http", "127.0.0.1", 1)) as r:
            assert b"no connection to 127.0.0.1:1" in await r.ask(GET_CLOSE)
        async with rig(origin=Origin("http", "no-such-host.invalid", 80)) as r:
            assert b"the name no-such-host.invalid does not resolve" in await r.ask(GET_CLOSE)

    run(loop_kind, scenario())


class Certificates:
    """A certificate authority made on the spot, and server contexts signed by it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        authority = self._build(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.file = folder / "authority.pem"
        self.file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))

    def _build(self, name: x509.Name, key: Any, extension: x509.ExtensionType) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
        # What a strict verifier wants besides: both key identifiers, and a critical constraint of an authority.
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        critical = isinstance(extension, x509.BasicConstraints)
        builder = builder.add_extension(extension, critical=critical).add_extension(own, critical=False)
        if critical:
            usage = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                False,
            )
            signs = x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
            builder = builder.add_extension(signs, critical=True)
        return builder.add_extension(signer, critical=False).sign(self._key, hashes.SHA256())

    def server(self, names: list[x509.GeneralName]) -> ssl.SSLContext:
        """Return a server's context for `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._build(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]), key, x509.SubjectAlternativeName(names))
        pem = self._folder / "leaf.pem"
        pem.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + leaf.public_bytes(serialization.Encoding.PEM),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def test_a_verified_provider_is_spoken_to_over_tls_and_kept_alive(loop_kind: str, tmp_path: Path) -> None:
    """With the authority in the context: two requests, one connection."""
    made = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(made.file))

    async def scenario() -> None:
        async with rig(answering(OK), server_tls=made.server([LOOPBACK]), client_tls=trusting) as r:
            assert (await r.ask(GET + post(b"a" * 200_000))).count(b"\r\n\r\nok") == 2
            assert r.pool.open_connections == 1

    run(loop_kind, scenario())


def test_a_certificate_that_does_not_verify_fails_in_clear_words(loop_kind: str, tmp_path: Path) -> None:
    """An unknown authority, and a name that is not the provider's; nothing is sent to either."""
    seen: list[tuple[bytes, bytes]] = []
    made = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(made.file))
    other = made.server([x509.DNSName("other.example")])

    async def scenario() -> None:
        async with rig(answering(OK, seen=seen), server_tls=made.server([LOOPBACK]), client_tls=default_tls_context()) as r:
            got = await r.ask(GET_CLOSE)
            assert got.startswith(b"HTTP/1.1 502")
            assert b"the certificate of 127.0.0.1:" in got
            assert b"does not verify: " in got
        async with rig(answering(OK, seen=seen), server_tls=other, client_tls=trusting) as r:
            assert b"does not verify: IP address mismatch" in await r.ask(GET_CLOSE)
        assert seen == []

    run(loop_kind, scenario())


def test_a_provider_that_speaks_no_tls_fails_in_clear_words(loop_kind: str) -> None:
    """Https to a plain port."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def scenario() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with rig(origin=Origin("https", "127.0.0.1", port)) as r:
            assert b"no TLS connection to 127.0.0.1:" in await r.ask(GET_CLOSE)
        server.close()

    run(loop_kind, scenario())


def test_ssl_cert_file_is_honoured(loop_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default context trusts what the environment names, as every client does."""
    made = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    trusting = default_tls_context()
    monkeypatch.undo()

    async def scenario() -> None:
        async with rig(answering(OK), server_tls=made.server([LOOPBACK]), client_tls=trusting) as r:
            assert (await r.ask(GET_CLOSE)).endswith(b"ok")

    run(loop_kind, scenario())


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read the request and never answer."""
    await reader.read()


async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and fall silent."""
    await read_request(reader)
    writer.write(HEAD + b"content-length: 10\r\n\r\nhello")
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without an end."""
    await read_request(reader)
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\na\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


NONE = {"connect_s": 0.0, "first_byte_s": 0.0, "idle_s": 0.0, "total_s": 0.0}


@pytest.mark.parametrize(
    ("talk", "limit", "words"),
    [
        (silent, {"first_byte_s": 0.1}, "did not begin to answer within 0.1 s"),
        (silent, {"total_s": 0.1}, "took longer than 0.1 s in all"),
        (stalling, {"idle_s": 0.1}, "was silent for 0.1 s"),
        (dripping, {"total_s": 0.2}, "took longer than 0.2 s in all"),
    ],
)
def test_each_deadline_ends_the_wait_and_says_which_it_was(
    loop_kind: str, talk: Any, limit: dict[str, float], words: str
) -> None:
    """The exchange hears a timeout, the provider's connection is closed."""

    async def scenario() -> None:
        async with rig(talk, timeouts=Timeouts(**(NONE | limit))) as r:
            await r.ask(GET_CLOSE)
            kind, why = r.told()[-2][1:]
            assert kind == "llmcp_upstream_timeout"
            assert words in why
            assert r.told()[-1] == "finished"
            assert r.pool.open_connections == 0

    run(loop_kind, scenario())


def test_the_connect_deadline_covers_the_tls_handshake(loop_kind: str) -> None:
    """A port that accepts and says nothing."""

    async def scenario() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        timeouts = Timeouts(connect_s=0.1)
        async with rig(origin=Origin("https", "127.0.0.1", port), timeouts=timeouts) as r:
            await r.ask(GET_CLOSE)
            assert r.told()[-2][1] == "llmcp_upstream_timeout"
            assert "within 0.1 s" in r.told()[-2][2]
        server.close()

    run(loop_kind, scenario())


def test_a_slow_but_living_stream_hits_no_idle_deadline(loop_kind: str) -> None:
    """Each chunk starts the clock anew."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(10):
            writer.write(b"1\r\na\r\n")
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    async def scenario() -> None:
        async with rig(talk, timeouts=Timeouts(idle_s=0.3, first_byte_s=0.3)) as r:
            assert (await r.ask(GET_CLOSE)).endswith(b"0\r\n\r\n")
            assert r.told()[-2:] == ["end", "finished"]

    run(loop_kind, scenario())


def test_chunks_of_one_read_reach_the_client_in_one_write_and_pacing_survives(loop_kind: str) -> None:
    """What comes together goes together, what comes apart goes apart."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n")
        await gate.wait()
        writer.write(b"1\r\nc\r\n0\r\n\r\n")

    async def scenario() -> None:
        async with rig(talk) as r:
            reader, writer = await asyncio.open_connection("127.0.0.1", r.port)
            writer.write(GET_CLOSE)
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(7) == b"2\r\nab\r\n"
            gate.set()
            assert await reader.read() == b"1\r\nc\r\n0\r\n\r\n"
            writer.close()
            assert [t for t in r.told() if t[0] == "data"] == [("data", 2), ("data", 1)]

    run(loop_kind, scenario())
