"""Rules of `llmcp.engine.attribution` and `llmcp.engine.credentials`."""

import pytest

from llmcp.engine.attribution import read_client, read_labels
from llmcp.engine.credentials import signed_by_aws
from llmcp.errors import MalformedRequestError


def test_claude_code_and_codex_name_their_sessions() -> None:
    """Agent sessions come for nothing, from headers that the agents send anyway."""
    claude = read_client(((b"user-agent", b"claude-cli/2.0 (external, cli)"), (b"x-claude-code-session-id", b"s-1")), "127.0.0.1")
    assert (claude.agent, claude.session, claude.ip) == ("claude-code", "s-1", "127.0.0.1")
    codex = read_client(((b"originator", b"codex_cli_rs"), (b"session-id", b"s-2")), "")
    assert (codex.agent, codex.session) == ("codex_cli_rs", "s-2")


def test_what_a_client_says_is_bounded_and_printable() -> None:
    """It goes into records and terminals."""
    said = read_client(((b"user-agent", b"\x1b[31m" + b"a" * 1000),), "").user_agent
    assert len(said) <= 256
    assert said.isprintable()


def test_labels_are_read() -> None:
    """`k=v` pairs, spaces around them allowed."""
    assert read_labels(((b"x-llmcp-labels", b"team=core, job=42"),)) == {"team": "core", "job": "42"}
    assert read_labels(()) == {}


@pytest.mark.parametrize(
    "value", [b"novalue", b"a=", b"=b", b"A=b", b"a=b c", b"a=" + b"x" * 65, b",".join(b"k%d=v" % i for i in range(17))]
)
def test_bad_labels_are_the_clients_mistake(value) -> None:
    """They are refused rather than half taken."""
    with pytest.raises(MalformedRequestError):
        read_labels(((b"x-llmcp-labels", value),))


def test_a_sigv4_signature_is_told_from_a_bearer_key() -> None:
    """Only the signature covers the host."""
    assert signed_by_aws(((b"authorization", b"AWS4-HMAC-SHA256 Credential=x"),))
    assert not signed_by_aws(((b"authorization", b"Bearer abc"),))
