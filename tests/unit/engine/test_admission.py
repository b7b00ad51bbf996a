"""Rules of `llmcp.engine.admission`: who may talk to a listener at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.core.http import RequestHead
from llmcp.core.settings import ListenSettings
from llmcp.engine.admission import admission, host_of

PLAIN = ListenSettings()
OPEN = ListenSettings(host="192.0.2.7", allowed_hosts=("llm.example",), allowed_origins=("https://app.example",))


def status(settings: ListenSettings, *headers: tuple[bytes, bytes]) -> int:
    """Return the status that turns a request with `headers` away; 0 where it passes."""
    answer = admission(RequestHead("POST", "/v1/chat/completions", headers), settings)
    return answer.status if answer is not None else 0


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1",
        b"127.0.0.1:8900",
        b"localhost",
        b"LOCALHOST:1",
        b"localhost.",
        b"[::1]",
        b"[::1]:8900",
        b"a.localhost",
        b"127.8.9.1",
    ],
)
def test_loopback_passes_however_it_is_spelt(host: bytes) -> None:
    """Rule 1: loopback names and addresses, any port."""
    assert status(PLAIN, (b"host", host)) == 0


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example",
        b"127.0.0.1.evil.example",
        b"localhost@evil",
        b"127.0.0.1:80:80",
        b"[::1",
        b"[::1]x",
        b"::1:80",
        b"\xff",
        b"127.1 ",
        b"0.0.0.0",
    ],
)
def test_every_other_host_is_misdirected(host: bytes) -> None:
    """Rule 1: DNS rebinding and malformed hosts meet 421."""
    assert status(PLAIN, (b"host", host)) == 421


def test_no_host_and_two_hosts_are_misdirected() -> None:
    """Rule 1: exactly one."""
    assert status(PLAIN) == 421
    assert status(PLAIN, (b"host", b"localhost"), (b"host", b"localhost")) == 421


def test_configured_names_and_the_own_address_pass() -> None:
    """Rule 1: the listener's own address and `allowed_hosts`."""
    assert status(OPEN, (b"host", b"llm.example:8900")) == 0
    assert status(OPEN, (b"host", b"192.0.2.7:8900")) == 0
    assert status(OPEN, (b"host", b"other.example")) == 421


def test_an_origin_that_is_not_listed_is_refused() -> None:
    """Rule 2: a web page on this machine is refused like any other."""
    host = (b"host", b"localhost")
    assert status(PLAIN, host, (b"origin", b"http://localhost:3000")) == 403
    assert status(PLAIN, host, (b"origin", b"null")) == 403
    assert status(OPEN, host, (b"origin", b"https://app.example"), (b"sec-fetch-site", b"cross-site")) == 0


def test_a_cross_site_request_without_an_origin_is_refused() -> None:
    """Rule 2: browsers send no Origin with a plain GET, but they say that it is cross-site."""
    assert status(PLAIN, (b"host", b"localhost"), (b"sec-fetch-site", b"Cross-Site")) == 403
    assert status(PLAIN, (b"host", b"localhost"), (b"sec-fetch-site", b"none")) == 0


def test_no_answer_carries_a_cors_header() -> None:
    """Rule 3."""
    answer = admission(RequestHead("OPTIONS", "/", ((b"host", b"localhost"), (b"origin", b"https://x"))), PLAIN)
    assert answer is not None
    assert not any(name.startswith(b"access-control") for name, _ in answer.headers)


@given(st.binary(max_size=40))
def test_hostile_hosts_never_raise_and_never_name_another_machine(authority: bytes) -> None:
    """Whatever stands in Host, the answer is 421 or the host is loopback."""
    host = host_of(authority)
    if status(PLAIN, (b"host", authority)) == 0:
        assert host == "localhost" or host.endswith(".localhost") or host.startswith("127.") or ":" in host
