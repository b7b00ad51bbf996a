"""`llmcp key …` as a person and a script use it, and the search for a planted secret in all that it leaves."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from fakes.key_desk import KeyDesk, knows
from fakes.marker import forms, places
from llmcp.cli.app import run

MARKER = "sk-" + "mArK3r" * 6
SECOND = "sk-" + "s3C0nd" * 6
MASTER = "correct horse " + "m4st3r" * 4


class Cli:
    """The command line on one home; keeps everything that it ever wrote."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.said: list[bytes] = []
        self.environ: dict[str, str] = {"LLMCP_CREDENTIALS__BACKEND": "file"}

    def env(self) -> dict[str, str]:
        """Return the environment of the process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMCP_")}
        return {**kept, "LLMCP_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self.environ}

    def __call__(self, *args: str, stdin: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one command line."""
        done = subprocess.run(
            [sys.executable, "-m", "llmcp", *args],
            env={**self.env(), **environ},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.home.parent,
        )
        self.said += [done.stdout.encode(), done.stderr.encode()]
        return done

    def here(self, *args: str, stdin: str) -> int:
        """Run one command line in this process, which is quicker; return its exit code."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in {"LLMCP_HOME": str(self.home), **self.environ}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            code = run(list(args))
        self.said += [out.getvalue().encode(), err.getvalue().encode()]
        return code

    def json(self, *args: str, **kwargs: Any) -> Any:
        """Run one command line that must succeed and return its document."""
        done = self(*args, "--json", **kwargs)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """Give a command line on a fresh home; whatever a test does with it, the planted secrets stand nowhere afterwards."""
    run = Cli(tmp_path)
    yield run
    for secret in (MARKER, SECOND, MASTER):
        assert places(run.home, secret, *run.said) == []


def test_the_search_itself_finds_what_is_there(tmp_path: Path) -> None:
    """Else all of these tests would prove nothing."""
    assert all(places(tmp_path, MARKER, b"x" + form + b"y") for form in forms(MARKER))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" + MARKER.encode())
    assert len(places(tmp_path, MARKER)) == 1
    import base64

    for before in ("", "a", "ab", "abc"):
        assert places(tmp_path, MARKER, base64.b64encode(f"{before}{MARKER}tail".encode())), before


def test_a_key_is_set_listed_rotated_and_removed(cli: Cli) -> None:
    """Each verb answers with the entry, and says on standard error what it did and how to undo it."""
    entry = cli.json("key", "set", "openai", "--stdin", "--label", "blue", "--weight", "2", stdin=MARKER + "\n")
    assert entry["id"].startswith("cred_")
    assert len(entry["id"]) == len("cred_") + 12
    assert (entry["provider"], entry["label"], entry["weight"], entry["hint"]) == ("openai", "blue", 2, MARKER[-4:])
    assert cli.json("key", "list") == [entry]
    rotated = cli.json("key", "rotate", "openai", "--from-env", "NEW_KEY", NEW_KEY=SECOND)
    assert (rotated["id"], rotated["hint"], rotated["created"]) == (entry["id"], SECOND[-4:], entry["created"])
    done = cli("key", "remove", entry["id"])
    assert (done.returncode, done.stdout.strip()) == (0, entry["id"])
    assert "undo" in done.stderr
    assert cli.json("key", "list") == []


def test_the_prompt_hides_what_is_typed(cli: Cli) -> None:
    """On a real terminal: what comes back is the prompt and the outcome, not the key."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "llmcp", "key", "set", "openai"]
    process = subprocess.Popen(
        command, env=cli.env(), stdin=child, stdout=child, stderr=child, start_new_session=True, cwd=cli.home.parent
    )
    os.close(child)
    shown = _until(parent, b"not shown")
    os.write(parent, MARKER.encode() + b"\n")
    shown += _until(parent, None)
    os.close(parent)
    assert process.wait(30) == 0, shown
    cli.said.append(shown)
    assert b"cred_" in shown
    assert cli.json("key", "list")[0]["hint"] == MARKER[-4:]


def _until(descriptor: int, wanted: bytes | None) -> bytes:
    """Read what a terminal shows, up to `wanted` or its end."""
    shown = b""
    until = time.monotonic() + 30
    while time.monotonic() < until and (wanted is None or wanted not in shown):
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # Linux: the other side is gone
            break
        if not data:
            break
        shown += data
    return shown


def test_without_a_terminal_nobody_is_asked(cli: Cli) -> None:
    """A script gets exit 2 and the way to do it, and never hangs."""
    done = cli("key", "set", "openai")
    assert done.returncode == 2
    assert "--stdin" in done.stderr


def test_a_key_is_never_an_options_value(cli: Cli) -> None:
    """There is no such option, and a value in a wrong place is not repeated."""
    assert cli("key", "set", "openai", "--source", MARKER).returncode == 2
    assert cli("key", "set", "--help").stdout.count("--key") == 0


@pytest.mark.parametrize("bad", ["", "\n", "two words", MARKER + "\nmore", "sk-ant-" + MARKER, "llmcp_" + MARKER])
def test_what_is_no_key_is_refused_without_being_repeated(cli: Cli, bad: str) -> None:
    """And leaves no entry."""
    assert cli.here("key", "set", "openai", "--stdin", stdin=bad) == 2
    assert cli.here("key", "list", "openai", stdin="") == 3


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("key", "set", "nobody", "--stdin"), 3),
        (("key", "set", "openai", "--org", "ghost", "--stdin"), 3),
        (("key", "set", "ollama", "--stdin"), 2),
        (("key", "set", "azure", "--stdin"), 2),
        (("key", "set", "openai", "--stdin", "--from-env", "X"), 2),
        (("key", "set", "openai", "--from-env", "NOT_SET_ANYWHERE"), 2),
        (("key", "rotate", "openai", "--stdin"), 3),
        (("key", "rotate"), 2),
        (("key", "rotate", "--master"), 2),
        (("key", "remove", "cred_nothingthere"), 3),
        (("key", "test", "openai"), 3),
    ],
)
def test_what_does_not_work_has_its_exit_code(cli: Cli, args: tuple[str, ...], code: int) -> None:
    """2 for what was asked wrongly, 3 for what is not there."""
    assert cli.here(*args, stdin=MARKER) == code


def test_a_key_for_one_org_needs_the_org(cli: Cli) -> None:
    """Then it is that org's alone."""
    cli.json("org", "create", "red")
    assert cli.json("key", "set", "openai", "--org", "red", "--stdin", stdin=MARKER)["org"] == "red"


def test_a_provider_of_the_settings_may_have_a_key(cli: Cli) -> None:
    """With whatever form its keys have."""
    cli.environ |= {"LLMCP_PROVIDERS__OWN__BASE_URL": "https://llm.example.org", "LLMCP_PROVIDERS__OWN__DIALECT": "openai"}
    assert cli.json("key", "set", "own", "--stdin", stdin=MARKER)["provider"] == "own"


def test_files_of_the_home_are_private(cli: Cli) -> None:
    """0600 and 0700, whatever the umask."""
    previous = os.umask(0)
    try:
        cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
    finally:
        os.umask(previous)
    for path in cli.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_test_of_the_keys_says_it_in_words_and_by_exit_code(cli: Cli) -> None:
    """0 where all can be used, 1 where one cannot."""
    with KeyDesk(knows(MARKER)) as desk:
        cli.environ["LLMCP_PROVIDERS__OPENAI__BASE_URL"] = desk.url
        cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
        done = cli("key", "test", "openai")
        assert (done.returncode, "valid" in done.stdout) == (0, True)
        cli.json("key", "set", "openai", "--label", "old", "--stdin", stdin=SECOND)
        done = cli("key", "test", "--json")
        assert done.returncode == 1
        assert sorted(row["state"] for row in json.loads(done.stdout)) == ["refused", "valid"]


def test_a_source_outside_is_read_where_the_key_is_used(cli: Cli) -> None:
    """The entry has the name of the variable, nothing has its value."""
    with KeyDesk(knows(MARKER)) as desk:
        cli.environ["LLMCP_PROVIDERS__OPENAI__BASE_URL"] = desk.url
        entry = cli.json("key", "set", "openai", "--source", "env:THE_KEY")
        assert (entry["source"], entry["hint"]) == ("env:THE_KEY", "")
        assert cli("key", "test", THE_KEY=MARKER).returncode == 0
        done = cli("key", "test")
        assert done.returncode == 1
        assert "THE_KEY" in done.stdout


def test_the_master_key_is_rotated_and_everything_opens_as_before(cli: Cli) -> None:
    """With a key file nothing is asked; the old key opens nothing any more; a record says that it was done."""
    cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
    old = cli.home / "old"
    old.mkdir()
    shutil.copy(cli.home / "master.key", old / "master.key")
    assert cli.json("key", "rotate", "--master") == {"entries": 1}
    with KeyDesk(knows(MARKER)) as desk:
        cli.environ["LLMCP_PROVIDERS__OPENAI__BASE_URL"] = desk.url
        assert cli("key", "test").returncode == 0
        shutil.copy(old / "master.key", cli.home / "master.key")
        done = cli("key", "test")
        assert (done.returncode, "does not open" in done.stdout) == (1, True)
    assert _actions(cli)[-1] == ("key.master", {"entries": "1", "given": "no"})


def test_a_given_master_key_is_rotated_to_a_given_one(cli: Cli) -> None:
    """From the variable of the old to that of the new; without the new one nothing is done."""
    cli.environ["LLMCP_MASTER_KEY"] = MASTER
    cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
    assert not (cli.home / "master.key").exists()
    assert cli("key", "rotate", "--master").returncode == 2
    new = "another phrase " + "n3w" * 6
    assert cli.json("key", "rotate", "--master", "--from-env", "NEW_MASTER", NEW_MASTER=new) == {"entries": 1}
    assert cli("key", "rotate", "openai", "--stdin", stdin=SECOND).returncode == 4
    assert cli("key", "rotate", "openai", "--stdin", stdin=SECOND, LLMCP_MASTER_KEY=new).returncode == 0
    assert places(cli.home, new, *cli.said) == []


@pytest.mark.parametrize("debug", ["debug", "info"])
def test_no_failure_shows_a_secret(cli: Cli, debug: str) -> None:
    """A wrong master key, a damaged file, a disk that takes nothing, a bug: also with tracebacks on."""
    cli.environ["LLMCP_LOG_LEVEL"] = debug
    cli.json("key", "set", "openai", "--stdin", stdin=MARKER, LLMCP_MASTER_KEY=MASTER)
    assert cli("key", "rotate", "openai", "--stdin", stdin=SECOND, LLMCP_MASTER_KEY=MASTER + "x").returncode == 4
    assert cli("key", "set", "groq", "--stdin", "--force", stdin=SECOND, LLMCP_MASTER_KEY="short").returncode == 4
    (cli.home / "credentials.enc").write_bytes(b"{")
    assert cli("key", "rotate", "openai", "--stdin", stdin=SECOND, LLMCP_MASTER_KEY=MASTER).returncode == 5
    (cli.home / "credentials.enc").unlink()
    (cli.home / "credentials.enc").mkdir()
    assert cli("key", "rotate", "openai", "--stdin", stdin=SECOND).returncode == 5
    script = (
        "import sys; from llmcp.control import credentials as c; from llmcp.cli.app import run;"
        "c._keep = lambda *a: 1 / 0; sys.exit(run(['key', 'rotate', 'openai', '--stdin']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=cli.env(), input=SECOND, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "Traceback" in done.stderr) == (70, debug == "debug")
    cli.said += [done.stdout.encode(), done.stderr.encode()]


def test_no_process_shows_a_secret_to_others(cli: Cli) -> None:
    """`ps` sees the command line; the environment of the process has it only where the person put it there."""
    command = [sys.executable, "-m", "llmcp", "key", "set", "openai", "--stdin"]
    with subprocess.Popen(
        command, env=cli.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(MARKER.encode())
        process.stdin.flush()
        time.sleep(0.5)
        folder = Path(f"/proc/{process.pid}")
        if folder.exists():
            cli.said += [(folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()]
        cli.said += list(process.communicate(timeout=30))
    assert process.returncode == 0


def test_a_write_that_is_killed_leaves_no_secret_and_no_broken_home(cli: Cli) -> None:
    """Also not in the log of the database, which a killed process leaves behind."""
    cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
    script = (
        "import os, signal, sys; from llmcp.stores.sqlite import change as s; from llmcp.cli.app import run;"
        "was = s.append_control;"
        "s.append_control = lambda c, r: (was(c, r), os.kill(os.getpid(), signal.SIGKILL));"
        "run(['key', 'rotate', 'openai', '--stdin'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=cli.env(), input=SECOND, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -9
    assert cli.json("key", "list")[0]["hint"] == MARKER[-4:]
    with KeyDesk(knows(MARKER)) as desk:
        assert cli("key", "test", LLMCP_PROVIDERS__OPENAI__BASE_URL=desk.url).returncode == 0


def test_every_change_leaves_its_record_and_a_new_change_number(cli: Cli) -> None:
    """Who, when, what; read from the database itself, its log included."""
    cli.json("key", "set", "openai", "--stdin", stdin=MARKER)
    cli.json("key", "rotate", "openai", "--stdin", stdin=SECOND)
    cli.json("key", "remove", "openai")
    assert [action for action, _ in _actions(cli)] == ["key.set", "key.rotate", "key.remove"]
    with closing(sqlite3.connect(cli.home / "llmcp.db")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone() == (3,)
        actors = connection.execute("SELECT record ->> 'actor' FROM control_records").fetchall()
    assert all(actor.startswith("local:") for (actor,) in actors)


def _actions(cli: Cli) -> list[tuple[str, dict[str, str]]]:
    with closing(sqlite3.connect(cli.home / "llmcp.db")) as connection:
        rows = connection.execute("SELECT action, record FROM control_records ORDER BY seq").fetchall()
    return [(action, json.loads(record)["detail"]) for action, record in rows]


def test_help_and_list_need_neither_keyring_nor_cryptography(cli: Cli) -> None:
    """They cost a quarter of a second."""
    cli.json("key", "list")
    script = (
        "import sys; from llmcp.cli.app import run; code = run(sys.argv[1:]);"
        "print([m for m in ('keyring', 'cryptography', 'boto3') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    for args in (["key", "--help"], ["key", "list", "--json"]):
        done = subprocess.run([sys.executable, "-c", script, *args], env=cli.env(), capture_output=True, text=True, check=True)
        assert done.stderr.strip().endswith("[]"), args
