"""`llmcp org`, `app` and `token`, from the command line to the store and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llmcp.cli.app import run
from llmcp.core import virtual_keys


class Told(NamedTuple):
    """What a command line said."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Read its standard output."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Shell:
    """A shell with a home of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str, *more: str) -> Told:
        """Run `llmcp` with the words of `line`."""
        self._capsys.readouterr()
        code = run([*line.split(), *more])
        return Told(code, *self._capsys.readouterr())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home whose secrets go to the encrypted file."""
    monkeypatch.setenv("LLMCP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMCP_CREDENTIALS__BACKEND", "file")
    return tmp_path / "home"


@pytest.fixture
def llmcp(home: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line on that home."""
    return Shell(capsys)


def test_the_key_alone_goes_to_standard_output(llmcp: Shell) -> None:
    """So that `$(llmcp token create)` works; what else there is to say stands beside it."""
    told = llmcp("token create")
    assert told.code == 0
    assert told.out == told.out.strip() + "\n"
    token_id = virtual_keys.parse(told.out.strip())
    assert token_id is not None
    assert f"llmcp token revoke {token_id}" in told.err
    assert told.out.strip() not in told.err


def test_a_token_is_what_was_asked_for_and_its_key_is_never_shown_again(llmcp: Shell, home: Path) -> None:
    """Neither by another verb nor by any file of the home."""
    llmcp("org create acme")
    llmcp("app create web --org acme")
    line = "token create --org acme --app web --user u@x --groups a,b --labels team=x,env=prod --expires 30d --providers openai,azure"
    made = llmcp(line, "--models", "gpt-4o*", "--json").document()
    key = made.pop("token")
    expected = {
        "state": "valid", "org": "acme", "app": "web", "user": "u@x", "groups": ["a", "b"], "labels": {"env": "prod", "team": "x"},
        "providers": ["openai", "azure"], "models": ["gpt-4o*"], "revoked": "", "replaced_by": "",
    }  # fmt: skip
    assert {name: made[name] for name in expected} == expected
    assert key.startswith(made["prefix"] + "_")
    secret = key.removeprefix(made["prefix"])[1:9]
    for verb in (
        "token list --json",
        "token list",
        "token list -o csv",
        f"token show {made['id']} --json",
        f"token show {made['prefix']}",
    ):
        told = llmcp(verb)
        assert made["id"] in told.out
        assert secret not in told.out + told.err
    assert llmcp(f"token show {made['id']} --json").document() == made
    for path in home.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path


def test_a_rotation_gives_a_new_key_and_ends_the_old_one(llmcp: Shell) -> None:
    """At once, or after the grace that was asked for."""
    first = llmcp("token create --json --user u").document()
    second = llmcp(f"token rotate {first['id']} --json").document()
    assert (second["user"], second["replaces"]) == ("u", first["id"])
    assert second["token"] != first["token"]
    third = llmcp(f"token rotate {second['prefix']} --grace 1h")
    assert virtual_keys.parse(third.out.strip()) not in {None, second["id"]}
    states = {row["id"]: row["state"] for row in llmcp("token list --json").document()}
    assert [states[first["id"]], states[second["id"]]] == ["revoked", "valid"]
    assert llmcp(f"token rotate {second['id']}").code == 6
    assert llmcp(f"token revoke {second['id']} --json").document()["state"] == "revoked"
    again = llmcp(f"token revoke {second['id']}")
    assert (again.code, "already" in again.err) == (0, True)


def test_orgs_and_apps_are_made_shown_changed_and_removed(llmcp: Shell) -> None:
    """The whole life of a tenant."""
    made = llmcp("org create acme --time-zone Europe/Berlin --json").document()
    assert (made["name"], made["time_zone"], made["enabled"]) == ("acme", "Europe/Berlin", True)
    assert llmcp("org set acme --disable --json").document()["enabled"] is False
    assert [org["name"] for org in llmcp("org list --json").document()] == ["acme", "default"]
    assert llmcp("app create web --org acme --json").document()["org"] == "acme"
    assert llmcp("app set web --org acme --json", "--title", "The web").document()["title"] == "The web"
    assert llmcp("org show acme --json").document()["apps"] == ["web"]
    assert llmcp("org remove acme").code == 6
    assert llmcp("app remove web --org acme --json").document()["name"] == "web"
    assert "undo" in llmcp("org remove acme").err.lower()
    assert llmcp("org show acme").code == 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("org create Acme", 2),
        ("org create default", 6),
        ("org create x --time-zone Mars/Base", 2),
        ("org show none", 3),
        ("org set default", 2),
        ("org set default --disable", 6),
        ("org set none --enable", 3),
        ("org remove default", 6),
        ("org remove none", 3),
        ("app create x --org none", 3),
        ("app create X", 2),
        ("app show none", 3),
        ("app set none --enable", 3),
        ("app remove none", 3),
        ("app list --org none", 3),
        ("token create --org none", 3),
        ("token create --app none", 3),
        ("token create --expires yesterday", 2),
        ("token create --expires 2001-01-01", 2),
        ("token create --labels Team=x", 2),
        ("token create --groups a,,b", 2),
        ("token create --providers opnai", 2),
        ("token create --models a,", 2),
        ("token list --org none", 3),
        ("token list --state odd", 2),
        ("token show tok_00000000000", 3),
        ("token revoke sk-something", 3),
        ("token rotate tok_00000000000", 3),
        ("token rotate tok_00000000000 --grace soon", 3),
    ],
)
def test_wrong_input_has_its_exit_code_and_writes_nothing(llmcp: Shell, home: Path, line: str, code: int) -> None:
    """As CONTRACT section 3 says, and no pepper is made for a token that is not."""
    told = llmcp(line)
    assert (told.code, told.out) == (code, ""), told.err
    assert told.err.startswith("error[")
    assert llmcp("org list --json").document()[0]["name"] == "default"
    assert llmcp("token list --json").document() == []
    assert not (home / "credentials.enc").exists()


def test_a_lost_pepper_is_said_and_not_replaced(llmcp: Shell, home: Path) -> None:
    """All tokens are worthless without it; making another would only hide that."""
    made = llmcp("token create --json").document()
    for name in ("credentials.enc", "master.key"):
        (home / name).unlink()
    told = llmcp("token create")
    assert (told.code, told.out) == (6, "")
    assert told.err.startswith("error[pepper-lost]")
    llmcp(f"token revoke {made['id']}")
    assert llmcp("token create").code == 0
