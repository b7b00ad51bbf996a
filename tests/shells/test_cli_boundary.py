"""The command line's boundary: exit codes, where output goes, what is loaded, what is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "mitmproxy", "cel_expr_python", "re2", "sqlite3", "sqlite_utils", "pydantic", "msgspec", "httpx", "httptools", "uvloop",
    "watchfiles", "asyncio", "keyring", "cryptography", "genai_prices", "openai", "anthropic", "rich", "ruamel",
)  # fmt: skip
NOT_BUILT = (
    "run",
    "top",
    "flag",
    "limits",
    "ca",
    "trust",
    "kill",
    "uninstall",
)


def llmcp(home: Path, *args: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the CLI on `home` with nothing of the user's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    env = {**kept, "LLMCP_HOME": str(home), "SHELL": "/bin/bash", **environ}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", *args],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd or home.parent,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Name a home that does not exist yet."""
    return tmp_path / "home"


def test_help_loads_nothing_heavy(home: Path) -> None:
    """`llmcp --help` must be quick: no database, condition, price, settings-schema or network module."""
    script = (
        "import sys; from llmcp.cli.app import run; code = run(['--help']);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=home.parent)
    assert done.stderr.strip() == "[]"
    assert "policy" in done.stdout


@pytest.mark.parametrize("noun", [[], ["policy"], ["audit"], ["provider"], ["serve"], ["audit", "query"]])
def test_every_help_is_on_stdout_and_exits_0(home: Path, noun: list[str]) -> None:
    """Help that was asked for is data; `-h` is short for it."""
    for flag in ("--help", "-h"):
        done = llmcp(home, *noun, flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage:" in done.stdout
    assert not home.exists()


@pytest.mark.parametrize(
    "verb", [("audit", "query", "--user"), ("audit", "show"), ("audit", "erase"), ("token", "list", "--org")]
)
def test_an_argument_that_is_no_text_is_a_usage_error(home: Path, verb: tuple[str, ...]) -> None:
    """Never "a bug": the shell passes on whatever bytes there are."""
    done = llmcp(home, *verb, "\udcff")
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr


@pytest.mark.parametrize("name", NOT_BUILT)
def test_a_verb_of_a_later_version_is_refused_by_name(home: Path, name: str) -> None:
    """Never "no such command": the contract has it, this version does not."""
    done = llmcp(home, name, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "not-supported"
    assert f"llmcp {name}" in error["message"]


def test_nouns_refuse_their_later_verbs_by_name(home: Path) -> None:
    """`policy diff` and `audit bypass` as well."""
    for words in (["policy", "diff"], ["audit", "bypass"]):
        done = llmcp(home, *words)
        assert done.returncode == 2
        assert f"error[not-supported]: `llmcp {' '.join(words)}` is not supported in this version" in done.stderr


@pytest.mark.parametrize(
    "args", [["nonsense"], ["serve", "--nonsense"], ["audit", "show"], ["status", "--wait", "soon"], ["serve", "--port", "x"]]
)
def test_wrong_usage_is_exit_2_in_the_error_format(home: Path, args: list[str]) -> None:
    """`error[usage]: …`, and a hint that names the help."""
    done = llmcp(home, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error[usage]: ")
    assert "hint: " in done.stderr


@pytest.mark.parametrize("args", [["nonsense"], ["polcy", "list"], ["policy", "lst"], ["completion", "nonsense"]])
def test_the_hint_of_wrong_usage_is_a_command_that_works(home: Path, args: list[str]) -> None:
    """It names the help of the nearest command that there is."""
    said = llmcp(home, *args).stderr
    words = said.partition("hint: `llmcp ")[2].partition("`")[0].split()
    assert llmcp(home, *words).returncode == 0


def test_no_daemon_is_exit_5(home: Path) -> None:
    """For `status`, `stop` and `reload`; nothing is created on the way."""
    for verb in ("status", "stop", "reload"):
        done = llmcp(home, verb)
        assert done.returncode == 5, done.stderr
        assert done.stderr.startswith("error[unreachable]: ")
    assert not home.exists()


def test_an_unusable_settings_file_is_exit_2_with_its_place(home: Path) -> None:
    """File, line, column and a suggestion, in both forms."""
    home.mkdir()
    (home / "llmcp.yaml").write_text("listen:\n  prot: 1\n")
    done = llmcp(home, "serve")
    assert done.returncode == 2
    assert f"{home}/llmcp.yaml:2:3: unknown setting `listen.prot`" in done.stderr
    assert "hint: did you mean `port`?" in done.stderr
    error = json.loads(llmcp(home, "audit", "query", "--json").stderr)["error"]
    assert (error["file"], error["line"], error["column"]) == (f"{home}/llmcp.yaml", 2, 3)


def test_an_unknown_variable_is_exit_2_by_name(home: Path) -> None:
    """Nobody should believe that a misspelt variable works."""
    done = llmcp(home, "serve", LLMCP_LISTEN__PROT="1")
    assert done.returncode == 2
    assert "LLMCP_LISTEN__PROT" in done.stderr


def test_a_bug_is_exit_70_without_a_traceback(home: Path) -> None:
    """Values of the program do not go to a terminal; debugging shows the trace."""
    script = (
        "import sys; from llmcp import wiring; from llmcp.cli.app import run\n"
        "def broken(): raise RuntimeError('with a secret in it')\n"
        "wiring.home = broken; sys.exit(run(['status']))"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}
    done = subprocess.run([sys.executable, "-c", script], env=kept, capture_output=True, text=True, check=False, cwd=home.parent)
    assert done.returncode == 70
    assert done.stderr.startswith("error[internal]: ")
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
    shown = subprocess.run(
        [sys.executable, "-c", script],
        env={**kept, "LLMCP_LOG_LEVEL": "debug"},
        capture_output=True,
        text=True,
        check=False,
        cwd=home.parent,
    )
    assert "RuntimeError" in shown.stderr
    assert shown.returncode == 70


def test_a_reader_that_has_seen_enough_is_no_error(home: Path) -> None:
    """`llmcp provider list | head -1`."""
    command = f"{sys.executable} -m llmcp provider models -o jsonl | head -n 1; echo ${{PIPESTATUS[0]}}"
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("LLMCP_")}, "LLMCP_HOME": str(home)}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=True, cwd=home.parent)
    assert done.stdout.splitlines()[-1] in {"0", "141"}
    assert done.stderr == ""


def test_version_and_provider_list_are_json_when_asked(home: Path) -> None:
    """One document, no colour, on standard output."""
    assert json.loads(llmcp(home, "version", "--json").stdout)["version"]
    rows = json.loads(llmcp(home, "provider", "list", "--json").stdout)
    assert {"openai", "anthropic", "gemini"} <= {row["name"] for row in rows}
    assert "\x1b" not in llmcp(home, "provider", "list").stdout


def test_json_and_another_form_contradict_each_other(home: Path) -> None:
    """Rather than one silently winning."""
    assert llmcp(home, "provider", "list", "--json", "-o", "csv").returncode == 2


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export OPENAI_BASE_URL='http://127.0.0.1:8900/v1'"),
        ("zsh", "export OPENAI_BASE_URL='http://127.0.0.1:8900/v1'"),
        ("fish", "set -gx OPENAI_BASE_URL 'http://127.0.0.1:8900/v1'"),
        ("powershell", "$env:OPENAI_BASE_URL = 'http://127.0.0.1:8900/v1'"),
    ],
)
def test_env_writes_the_shells_own_syntax(home: Path, shell: str, line: str) -> None:
    """And `--unset` takes every variable away that it sets."""
    said = llmcp(home, "env", "--shell", shell)
    assert said.stdout.splitlines()[0] == line
    assert "no daemon" in said.stderr
    unset = llmcp(home, "env", "--shell", shell, "--unset").stdout
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        assert name in said.stdout
        assert name in unset


def test_env_survives_eval(home: Path) -> None:
    """What is printed is what bash reads."""
    text = llmcp(home, "env").stdout
    done = subprocess.run(["bash", "-c", f"{text}\necho $ANTHROPIC_BASE_URL"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "http://127.0.0.1:8900"


def test_init_makes_a_home_that_loads_and_leaves_it_alone_afterwards(home: Path) -> None:
    """Idempotent; says what it wrote and how to undo it; every commented setting is a real one."""
    first = llmcp(home, "init")
    assert first.returncode == 0
    assert "undo: " in first.stderr
    assert str(home / "llmcp.yaml") in first.stderr
    settings = home / "llmcp.yaml"
    settings.write_text(settings.read_text() + "log: {level: warning}\n")
    before = {path: path.read_text() for path in home.rglob("*.yaml")}
    again = llmcp(home, "init")
    assert (again.returncode, {path: path.read_text() for path in home.rglob("*.yaml")}) == (0, before)
    assert {oct(path.stat().st_mode & 0o777) for path in home.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in [home, *home.rglob("*")] if path.is_dir()} == {"0o700"}


def test_the_settings_that_init_shows_are_real_ones(home: Path) -> None:
    """Taking the comment signs away gives a file that loads."""
    llmcp(home, "init")
    settings = home / "llmcp.yaml"
    lines = settings.read_text().splitlines()
    body = [
        line.removeprefix("# ")
        for line in lines
        if line.startswith("# ") and ":" in line and "." not in line.split(":", maxsplit=1)[0]
    ]
    settings.write_text("\n".join(line for line in body if not line.startswith(("Settings", "The "))) + "\n")
    done = llmcp(home, "provider", "list", "--json")
    assert done.returncode == 0, done.stderr + settings.read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_prints_the_checked_in_script(home: Path, shell: str) -> None:
    """`completions/` holds what the program prints."""
    files = {"bash": "llmcp.bash", "zsh": "_llmcp", "fish": "llmcp.fish", "powershell": "llmcp.ps1"}
    root = Path(__file__).parents[2]
    assert llmcp(home, "completion", shell).stdout == (root / "completions" / files[shell]).read_text()


@pytest.mark.parametrize(
    ("typed", "offered"), [("pol", "policy"), ("policy ch", "check"), ("serve --adm", "--admin-port"), ("st", "status")]
)
def test_completion_offers_what_may_come_next(home: Path, typed: str, offered: str) -> None:
    """The script asks the program, as bash would."""
    words = f"llmcp {typed}"
    done = llmcp(home, _LLMCP_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert offered in done.stdout.split()


def test_serve_refuses_the_world_without_being_told_twice(home: Path) -> None:
    """Beyond loopback there are no keys and no TLS in this version."""
    done = llmcp(home, "serve", "--host", "0.0.0.0")  # noqa: S104 - refused, not bound
    assert done.returncode == 2
    assert "--insecure" in done.stderr
    assert not (home / "run").exists()
    assert llmcp(home, "serve", "--proxy-port", "8901").returncode == 2


_TYPED = "sk-" + "proj-" + "T1ped" * 6
_OPAQUE = "0a1b2c3d" * 4


@pytest.mark.parametrize("key", [_TYPED, _OPAQUE])
@pytest.mark.parametrize(
    "args",
    [
        ("key", "set", "openai", "{}"),
        ("key", "set", "{}", "--stdin"),
        ("key", "set", "openai", "--from-env", "{}"),
        ("key", "set", "openai", "--source", "{}"),
        ("key", "test", "{}"),
        ("key", "remove", "{}"),
        ("key", "rotate", "{}", "--json"),
        ("key", "list", "{}"),
    ],
)
def test_a_key_typed_in_the_wrong_place_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], key: str
) -> None:
    """The error is read by others: in a CI job's log, over a shoulder."""
    from llmcp.cli.app import run

    monkeypatch.setenv("LLMCP_HOME", str(tmp_path / "home"))
    assert run([part.format(key) for part in args]) in {2, 3}
    written = capsys.readouterr()
    assert key.lower() not in (written.out + written.err).lower()
    assert "error" in written.err


@pytest.mark.parametrize(
    "args",
    [("org", "show", "{}"), ("token", "create", "--org", "{}"), ("token", "show", "x{}"), ("app", "create", "{}"), ("{}",)],
)
def test_a_virtual_key_typed_in_the_wrong_place_is_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    """Of it the part that may be shown."""
    from llmcp.cli.app import run

    secret = "S3cret" * 7
    monkeypatch.setenv("LLMCP_HOME", str(tmp_path / "home"))
    assert run([part.format(f"llmcp_{'i' * 11}_{secret}") for part in args]) in {2, 3}
    written = capsys.readouterr()
    assert secret.lower() not in (written.out + written.err).lower()
