"""Virtual keys in places where no SDK puts one: none goes upstream, none is kept."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from fakes.accesses import access, credential, make_token
from fakes.planes import exchange, plane
from llmcp import data
from llmcp.core.http import Forward, ReadBody, RequestHead, Respond
from llmcp.core.pricing import PriceTable
from llmcp.core.records import canonical
from llmcp.core.virtual_keys import masked
from llmcp.engine.headers import has_virtual_key
from llmcp.engine.settlement import settle

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JSON = (b"content-type", b"application/json")
OWN = (b"authorization", b"Bearer sk-" + b"own" * 10)
KEY, TOKEN = make_token()
SECRET = KEY.rsplit("_", 1)[1]
SERVED = access(TOKEN, credentials=(credential(),))
PRICES = PriceTable.load(data.prices())
ESCAPED = [KEY.replace("_", "%5f"), KEY.replace("l", "%6C", 1), quote(quote(KEY.replace("_", "%5F")))]


def ask(*headers: tuple[bytes, bytes], target: str = "/openai/v1/chat/completions", model: str = "gpt-4o") -> Any:
    """Send one chat; return what the exchange wants done, and the exchange."""
    run = exchange(plane(), access=SERVED)
    said: Any = run.receive_head(RequestHead("POST", target, (*headers, JSON, (b"content-length", b"9")), "127.0.0.1"))
    if isinstance(said, ReadBody):
        said = run.receive_body(b'{"model":"%s","messages":[{"role":"user","content":"hi"}]}' % model.encode())
    return said, run


def kept(run: Any) -> str:
    """Settle an exchange; return its record as text."""
    run.finished()
    record = settle(run, prices=PRICES, now=NOW, ended_ns=1)
    assert record is not None
    return canonical(record).decode()


@pytest.mark.parametrize("name", [b"user-agent", b"session-id", b"session_id", b"thread-id", b"originator"])
@pytest.mark.parametrize("spelt", [KEY, KEY.upper(), f"agent/{KEY} (x)", *ESCAPED[:1]])
def test_a_key_in_what_a_client_says_of_itself_is_not_kept(name: bytes, spelt: str) -> None:
    """The id stays, so that an operator sees whose key stood there."""
    _, run = ask(OWN, (name, spelt.encode()))
    text = kept(run)
    assert SECRET.lower() not in text.lower()
    assert TOKEN.id.removeprefix("tok_").lower() in text.lower()


def test_a_key_for_a_models_name_is_not_kept() -> None:
    """Somebody mixed up two variables."""
    _, run = ask(OWN, model=KEY)
    assert SECRET not in kept(run)


def test_a_text_without_a_key_is_kept_as_it_is() -> None:
    """Names that only begin like a key are names."""
    for text in ("llmcp_search", "gpt-4o", "llmcp_", "my_llmcp_model_x", "100%"):
        assert masked(text) == text


@pytest.mark.parametrize("spelt", ESCAPED)
def test_an_escaped_key_is_refused_and_does_not_pass_for_the_clients_own(spelt: str) -> None:
    """It would be a key of the path's provider otherwise, and go there."""
    assert has_virtual_key(spelt.encode())
    said, _ = ask((b"authorization", f"Bearer {spelt}".encode()))
    assert isinstance(said, Respond)
    assert said.status == 401


def test_a_key_in_a_headers_name_is_dropped() -> None:
    """With or without a value."""
    said, _ = ask(OWN, (KEY.lower().encode(), b"1"))
    assert isinstance(said, Forward)
    assert not any(b"llmcp" in name for name, _ in said.headers)


@pytest.mark.parametrize("user", [b"x:", b"~~~:", b"???\xff:", b""])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_basic_hides_a_key_in_no_alphabet(user: bytes, encode: Any, padded: bool) -> None:
    """Decoders take either alphabet, with padding or without."""
    coded = encode(user + KEY.encode())
    said, _ = ask((b"authorization", b"Basic " + (coded if padded else coded.rstrip(b"="))))
    assert isinstance(said, Forward)
    assert said.headers[-1] == (b"authorization", b"Bearer " + credential().secret.encode())
    assert not any(coded.rstrip(b"=") in value for _, value in said.headers)
