"""Settings by name: found, near, read from a command line, and never a secret."""

from __future__ import annotations

import pytest

from llmcp.control.config_keys import known, path_of, read_value, refuse_secrets, rows, section_of, show_value
from llmcp.core.settings import Settings
from llmcp.errors import NotPermittedError, UsageError


def test_every_key_of_the_settings_is_known_and_listed() -> None:
    """But a provider's: those are listed where one is set up."""
    listed = {row["key"] for row in rows(Settings(), lambda _: "default")}
    assert listed == {key for key in known() if "<name>" not in key}
    assert path_of("auth.jwt.claims.org") == ("auth", "jwt", "claims", "org")


def test_a_providers_name_may_hold_dots() -> None:
    """The last part is the key."""
    assert path_of("providers.my.own.base_url") == ("providers", "my.own", "base_url")
    assert section_of("providers.openai") == ("providers", "openai")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("listen.prot", "listen.port"), ("level", "log.level"), ("providers.x.base_ulr", "providers.<name>.base_url")],
)
def test_an_unknown_key_is_answered_with_the_nearest(wrong: str, near: str) -> None:
    """Also by its last part alone."""
    with pytest.raises(UsageError) as caught:
        path_of(wrong)
    assert near in caught.value.fix


@pytest.mark.parametrize("wrong", ["", ".", "listen", "providers", "providers.openai", "listen.port.x", "x" * 500])
def test_what_is_no_single_key_is_refused(wrong: str) -> None:
    """In words, not with a traceback, and not at any length."""
    with pytest.raises(UsageError) as caught:
        path_of(wrong)
    assert len(caught.value.what) < 120


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("listen.port", "1", 1), ("listen.port", "x", "x"), ("auth.require_virtual_key", "TRUE", True), ("log.level", "1", "1"),
        ("listen.allowed_hosts", "a, b", ["a", "b"]), ("listen.allowed_hosts", '["a,b"]', ["a,b"]), ("listen.allowed_hosts", "", []),
        ("providers.x.idle_s", "1.5", 1.5), ("store", "true", "true"),
    ],
)  # fmt: skip
def test_a_text_is_read_as_the_key_has_it(key: str, text: str, value: object) -> None:
    """Whether it is allowed is the settings' business."""
    assert read_value(path_of(key), text) == value


@pytest.mark.parametrize("value", [True, 3, 1.5, "a", ["a", "b"], ["a,b"], []])
def test_what_is_shown_can_be_set_again(value: object) -> None:
    """The undo line is a command."""
    key = {
        bool: "auth.require_virtual_key",
        int: "listen.port",
        float: "providers.x.idle_s",
        str: "store",
        list: "ledger.anchors",
    }
    assert read_value(path_of(key[type(value)]), show_value(value)) == value


def test_a_secret_is_refused_and_not_repeated() -> None:
    """By a known form, in lists too, and as a virtual key."""

    def form(text: str) -> str:
        return "openai" if text.startswith("sk-") else ""

    for value in ("sk-" + "x" * 20, ["ok", "sk-" + "x" * 20], "Bearer sk-" + "x" * 20, "llmcp_" + "x" * 20):
        with pytest.raises(NotPermittedError) as caught:
            refuse_secrets("store", value, form)
        assert "xxx" not in caught.value.what + caught.value.why + caught.value.fix
    refuse_secrets("store", "sk-short", form)
