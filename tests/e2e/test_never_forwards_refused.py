"""Under a policy that denies everything, no bytes whatsoever make the gateway send a request upstream, and none of them breaks it."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from e2e import hostile
from fakes.provider_server import ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.daemon import Daemon

DENY_ALL = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: nothing}
spec:
  rules:
    - {id: nothing, deny: {message: Nothing may leave}}
"""


def _send(port: int, data: bytes, rng: random.Random) -> bytes:
    """Send bytes in random pieces, then end in one of the ways in which clients end; return what came back."""
    got = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 1, 3])))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            client.sendall(data[start:end])
        ending = rng.randrange(4)
        if ending == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return got
        if ending != 1:
            client.shutdown(socket.SHUT_WR)
        client.settimeout(0.5 if ending == 1 else 5)
        while piece := client.recv(65536):
            got += piece
    return got


def _fuzz(daemon: Daemon, provider: ProviderServer, *, seed: int, rounds: int) -> None:
    rng = random.Random(seed)  # noqa: S311  a repeatable run, not a secret
    statuses: set[bytes] = set()
    for number in range(rounds):
        data = hostile.conversation(rng)
        answer = _send(daemon.port, data, rng)
        statuses.add(answer[9:12])
        assert provider.received == [], f"seed {seed}, round {number}: forwarded {data!r}"
        assert answer[:9] in {b"HTTP/1.1 ", b""}, f"seed {seed}, round {number}: {answer[:80]!r} for {data!r}"
        assert answer[9:12] != b"500", f"seed {seed}, round {number}: an unhandled exception for {data!r}"
    assert b"403" in statuses
    assert daemon.process is not None
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.log()
    assert daemon.call("GET", "/healthz").status == 200
    assert provider.connections == 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_that_is_refused_is_ever_forwarded(make_daemon: Callable[..., Daemon], seed: int) -> None:
    """A few hundred hostile connections of each seed."""
    with ProviderServer() as provider:
        daemon = make_daemon(policies={"nothing": DENY_ALL}, settings=_places(provider))
        _fuzz(daemon, provider, seed=seed, rounds=250)


@pytest.mark.nightly
@pytest.mark.skipif(not os.environ.get("LLMCP_NIGHTLY"), reason="long; `make nightly` runs it")
@pytest.mark.timeout(7200)
def test_nothing_that_is_refused_is_ever_forwarded_in_a_long_run(make_daemon: Callable[..., Daemon]) -> None:
    """The same for many thousand connections; the seed is in the message when it fails and can be given as `LLMCP_FUZZ_SEED`."""
    seed = int(os.environ.get("LLMCP_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    rounds = int(os.environ.get("LLMCP_FUZZ_ROUNDS") or 20_000)
    with ProviderServer() as provider:
        daemon = make_daemon(policies={"nothing": DENY_ALL}, settings=_places(provider))
        _fuzz(daemon, provider, seed=seed, rounds=rounds)


@pytest.mark.parametrize("target", hostile.TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_every_operation_is_denied_by_a_rule_without_conditions(
    module_daemon: Daemon, provider: ProviderServer, target: str, method: str
) -> None:
    """A denial that names no operation binds all of them, known or not."""
    body = (
        None
        if method in {"GET", "DELETE"}
        else b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"input":"x","contents":[]}'
    )
    for name, key in hostile.KEYS:
        answer = module_daemon.call(method, target, body, {name: key})
        assert answer.status >= 400
    assert provider.received == []


@pytest.fixture(scope="module")
def module_daemon(module_provider: ProviderServer, tmp_path_factory: pytest.TempPathFactory) -> object:
    """Run one deny-all daemon for the module."""
    from e2e.daemon import Daemon as Real

    running = Real(tmp_path_factory.mktemp("nothing") / "home", module_provider.url)
    running.policy("nothing", DENY_ALL)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _places(provider: ProviderServer) -> dict[str, str]:
    names = ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "BEDROCK", "AZURE", "VERTEX", "COHERE", "GROQ")
    return {f"PROVIDERS__{name}__BASE_URL": provider.url for name in names}
