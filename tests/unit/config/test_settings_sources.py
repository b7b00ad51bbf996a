"""Rules of `llmcp.config.settings` and `.environment`: file, variables, flags, and errors with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcp.config.document import SettingsError
from llmcp.config.home import Home
from llmcp.config.settings import Flag, load


def home_with(tmp_path: Path, text: str = "") -> Home:
    """Return a home whose settings file is `text`."""
    (tmp_path / "llmcp.yaml").write_text(text)
    return Home(tmp_path, tmp_path, tmp_path)


def failure(tmp_path: Path, text: str = "", *, flags: tuple[Flag, ...] = (), **environ: str) -> SettingsError:
    """Load what must not load; return the error."""
    with pytest.raises(SettingsError) as caught:
        load(home_with(tmp_path, text), environ=environ, flags=flags)
    return caught.value


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    """Nothing is demanded of a newcomer."""
    settings = load(Home(tmp_path, tmp_path, tmp_path), environ={})
    assert (settings.listen.port, settings.listen.host, settings.log.level) == (8900, "127.0.0.1", "info")


def test_flags_beat_variables_and_variables_beat_the_file(tmp_path: Path) -> None:
    """Rule 1, key by key."""
    home = home_with(tmp_path, "listen: {port: 1, admin_port: 2, host: localhost}\n")
    settings = load(
        home,
        environ={"LLMCP_LISTEN__ADMIN_PORT": "3", "LLMCP_LISTEN__PORT": "4"},
        flags=(Flag("--port", ("listen", "port"), 5), Flag("--host", ("listen", "host"), None)),
    )
    assert (settings.listen.port, settings.listen.admin_port, settings.listen.host) == (5, 3, "localhost")


def test_variables_are_converted_to_the_settings_type(tmp_path: Path) -> None:
    """Rule 2: numbers, booleans, lists by comma or JSON; short names too."""
    settings = load(
        home_with(tmp_path),
        environ={
            "LLMCP_POLICIES__ALLOW_EMPTY": "true",
            "LLMCP_POLICIES__POLL_S": "0.5",
            "LLMCP_LISTEN__ALLOWED_HOSTS": "a.example, b.example",
            "LLMCP_LISTEN__ALLOWED_ORIGINS": '["https://a.example"]',
            "LLMCP_LOG_LEVEL": "debug",
            "LLMCP_LOG_FORMAT": "json",
            "LLMCP_STORE": "sqlite:///x.db",
            "LLMCP_COUNTERS": "memory:",
        },
    )
    assert settings.policies.allow_empty is True
    assert settings.policies.poll_s == 0.5
    assert settings.listen.allowed_hosts == ("a.example", "b.example")
    assert settings.listen.allowed_origins == ("https://a.example",)
    assert (settings.log.level, settings.log.format, settings.store) == ("debug", "json", "sqlite:///x.db")


def test_a_provider_of_a_hyphenated_name_has_a_variable(tmp_path: Path) -> None:
    """A shell variable cannot hold a hyphen."""
    settings = load(
        home_with(tmp_path),
        environ={
            "LLMCP_PROVIDERS__LM_STUDIO__BASE_URL": "http://127.0.0.1:1",
            "LLMCP_PROVIDERS__OPENAI__BASE_URL": "https://a.example/",
        },
        providers=("lm-studio", "openai"),
    )
    assert settings.providers["lm-studio"].base_url == "http://127.0.0.1:1"
    assert settings.providers["openai"].base_url == "https://a.example"


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_known_one(tmp_path: Path) -> None:
    """Rule 3."""
    error = failure(tmp_path, "listen:\n  porrt: 1\n")
    assert (error.line, error.column, error.exit_code) == (2, 3, 2)
    assert "listen.porrt" in error.what
    assert error.fix == "did you mean `port`?"


def test_an_unknown_section_and_an_unknown_provider_key_are_named(tmp_path: Path) -> None:
    """Rule 3, at every depth."""
    assert "`polices`" in failure(tmp_path, "polices: {}\n").what
    error = failure(tmp_path, "providers:\n  openai:\n    base_ulr: x\n")
    assert (error.line, error.fix) == (3, "did you mean `base_url`?")


def test_a_wrong_value_is_named_with_its_place_and_never_quoted(tmp_path: Path) -> None:
    """The value may be a secret that went into the wrong line."""
    secret = "sk-" + "x" * 20
    error = failure(tmp_path, f"listen:\n  port: {secret}\n")
    assert error.line == 2
    assert secret not in f"{error.what} {error.why} {error.fix}"


def test_a_quoted_number_in_the_file_is_not_a_number(tmp_path: Path) -> None:
    """Rule 2: the file is strict."""
    assert failure(tmp_path, "listen: {port: '8900'}\n").line == 1
    assert failure(tmp_path, "policies: {allow_empty: yes}\n").line == 1


def test_plain_http_beyond_loopback_is_refused(tmp_path: Path) -> None:
    """A provider key must not travel in clear."""
    error = failure(tmp_path, LLMCP_PROVIDERS__OPENAI__BASE_URL="http://api.example")
    assert "https" in error.why
    assert "LLMCP_PROVIDERS__OPENAI__BASE_URL" in error.what


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("LLMCP_FLAGS__SOURCE", "flags"),
        ("LLMCP_LISTEN__PROT", "listen.prot"),
        ("LLMCP_LISTEN_PORT", "LLMCP_LISTEN__PORT"),
        ("LLMCP_LOG_LEVL", "LLMCP_LOG_LEVEL"),
        ("LLMCP_ADMIN_TOKN", "LLMCP_ADMIN_TOKEN"),
        ("LLMCP_PROVIDERS__OPENAI__KEY", "providers.openai.key"),
        ("LLMCP_LISTEN__", "LLMCP_LISTEN__"),
    ],
)
def test_a_variable_that_names_nothing_is_an_error_by_its_name(tmp_path: Path, name: str, word: str) -> None:
    """Never ignored: whoever set it believes that it works."""
    value = "sk-" + "y" * 20
    error = failure(tmp_path, **{name: value})
    assert name in error.what
    assert word in f"{error.what} {error.why} {error.fix}"
    assert value not in f"{error.what} {error.why} {error.fix}"


def test_service_links_and_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    """An orchestrator sets `LLMCP_PORT_8900_TCP` where a service is called llmcp."""
    environ = {
        "LLMCP_PORT_8900_TCP": "tcp://10.0.0.1:8900",
        "LLMCP_SERVICE_HOST": "10.0.0.1",
        "LLMCP_NIGHTLY": "1",
        "PATH": "/bin",
    }
    assert load(home_with(tmp_path), environ=environ).listen.port == 8900


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    """The person typed it a moment ago."""
    assert "`--port`" in failure(tmp_path, flags=(Flag("--port", ("listen", "port"), 99999),)).what
