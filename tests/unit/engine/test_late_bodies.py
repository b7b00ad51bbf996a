"""Bodies that come long after their heads: what was proven then must be proven now. And redirects, which lead past the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from fakes.accesses import Issuer, access, credential, make_token
from fakes.planes import StillClock, exchange, plane
from llmcp.core.http import Forward, ReadBody, RequestHead, Respond
from llmcp.core.identity import Identity
from llmcp.core.records import timestamp
from llmcp.core.subject import Subject
from llmcp.engine.access import Access

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JSON = (b"content-type", b"application/json")
OWN = (b"authorization", b"Bearer sk-" + b"own" * 10)
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
KEY, TOKEN = make_token()
BEARER = (b"authorization", b"Bearer " + KEY.encode())
STORED = (credential(),)
SERVED = access(TOKEN, credentials=STORED)
GONE = access(structs.replace(TOKEN, revoked=timestamp(NOW)), credentials=STORED)


def head(*headers: tuple[bytes, bytes], method: str = "POST", target: str = "/openai/v1/chat/completions") -> RequestHead:
    """Return a request's head."""
    return RequestHead(method, target, (*headers, JSON, (b"content-length", b"9")), "127.0.0.1")


def begun(of: Access, now: Access, bearer: tuple[bytes, bytes] = BEARER, **more: Any) -> Any:
    """Return an exchange that has its head by one snapshot and will have its body by another."""
    run = exchange(plane(), access=of, fresh=lambda: now, **more)
    assert isinstance(run.receive_head(head(bearer)), ReadBody)
    return run


def test_a_key_that_is_revoked_before_its_body_came_is_refused() -> None:
    """Whoever holds many heads open gains nothing by it."""
    run = begun(SERVED, GONE)
    said = run.receive_body(CHAT)
    assert isinstance(said, Respond)
    assert said.status == 401
    assert run.progress.error_type == "virtual_key_revoked"
    assert run.progress.subject.key_id == TOKEN.id


def test_a_key_that_expires_before_its_body_came_is_refused() -> None:
    """At the very moment."""
    end = NOW + timedelta(seconds=1)
    clock = StillClock()
    of = access(structs.replace(TOKEN, expires=timestamp(end)), credentials=STORED)
    run = begun(of, of, clock=clock)
    clock.at = end
    said = run.receive_body(CHAT)
    assert isinstance(said, Respond)
    assert said.status == 401


def test_a_key_that_is_still_good_gets_the_credential_of_now() -> None:
    """A snapshot was swapped meanwhile, and a provider's key rotated."""
    newer = credential(secret="sk-" + "newer" * 6)
    run = begun(SERVED, access(TOKEN, credentials=(newer,)))
    said = run.receive_body(CHAT)
    assert isinstance(said, Forward)
    assert said.headers[-1] == (b"authorization", b"Bearer " + newer.secret.encode())


def test_an_issuers_token_that_ended_before_its_body_came_is_refused() -> None:
    """It ends when the issuer said."""
    end = NOW + timedelta(seconds=1)
    clock = StillClock()
    issuer = Issuer(Identity(Subject(org="acme", key_id="jwt:k1"), expires=timestamp(end)))
    of = access(credentials=STORED, verifier=issuer)
    run = begun(of, of, (b"authorization", b"Bearer " + issuer.token().encode()), clock=clock)
    clock.at = end
    assert run.receive_body(CHAT).status == 401


def test_a_token_of_an_issuer_that_is_gone_does_not_pass_for_the_clients_own_key() -> None:
    """Settings may change between head and body."""
    issuer = Issuer()
    run = begun(
        access(credentials=STORED, verifier=issuer),
        access(credentials=STORED),
        (b"authorization", b"Bearer " + issuer.token().encode()),
    )
    assert run.receive_body(CHAT).status == 401


def redirected(*bearers: tuple[bytes, bytes], to: bytes, method: str = "POST", status: int = 307) -> bytes | None:
    """Return the `location` that a client gets."""
    run = exchange(plane(), access=SERVED)
    said: Any = run.receive_head(head(*bearers, method=method))
    if isinstance(said, ReadBody):
        said = run.receive_body(CHAT if method == "POST" else b"")
    assert isinstance(said, Forward)
    start: Any = run.receive_response_head(status, ((b"location", to), (b"content-length", b"0")))
    return dict(start.headers).get(b"location")


AWAY = [
    b"https://evil.example/v1",
    b"//evil.example/v1",
    b"/\\evil.example",
    b"\\\\evil.example",
    b"/\t/evil.example",
    b" https://evil.example",
    b"https:evil.example",
    b"evil.example:80",
]


@pytest.mark.parametrize("to", AWAY)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_no_body_and_no_virtual_key_past_the_gateway(to: bytes, status: int) -> None:
    """SDKs follow it, with the body, and some clients with their key."""
    assert redirected(BEARER, to=to, status=status) is None
    assert redirected(OWN, to=to, status=status) is None
    assert redirected(BEARER, to=to, status=status, method="GET") is None


@pytest.mark.parametrize("to", [b"/v1/chat/completions", b"/", b"?page=2"])
def test_a_redirect_on_the_same_host_passes(to: bytes) -> None:
    """The next request comes here too."""
    assert redirected(BEARER, to=to) == to


def test_a_download_with_the_clients_own_key_is_redirected_as_ever() -> None:
    """Nothing of llmcp goes along."""
    assert redirected(OWN, to=AWAY[0], method="GET") == AWAY[0]


@pytest.mark.parametrize(
    "target", ["/openai/v1/models/ft:gpt-4o:acme", "/v1/models/ft:gpt-4o:acme", "/gemini/v1beta/tunedModels/a"]
)
def test_a_token_for_some_models_removes_no_other(target: str) -> None:
    """It may list them all."""
    key, token = make_token(models=("gpt-4o-mini",))
    of = access(token, credentials=(*STORED, credential("gemini")))
    answers = {}
    for method in ("GET", "DELETE"):
        run = exchange(plane(), access=of)
        said: Any = run.receive_head(RequestHead(method, target, ((b"authorization", b"Bearer " + key.encode()),), "127.0.0.1"))
        answers[method] = run.receive_body(b"") if isinstance(said, ReadBody) else said
    assert isinstance(answers["GET"], Forward)
    assert answers["DELETE"].status == 403
