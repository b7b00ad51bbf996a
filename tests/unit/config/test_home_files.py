"""Rules of `llmcp.config.home`, `.lock` and `.project`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llmcp.config import lock, project
from llmcp.config.home import Home, find, make_private, write_private
from llmcp.errors import ConflictError, UsageError


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_one_variable_names_one_directory_for_everything(tmp_path: Path) -> None:
    """Rule 1; finding creates nothing (rule 2)."""
    home = find({"LLMCP_HOME": str(tmp_path / "home")})
    assert {home.settings_file.parent, home.store_file.parent, home.run.parent} == {tmp_path / "home"}
    assert not (tmp_path / "home").exists()


def test_without_the_variable_the_platform_says_where() -> None:
    """Rule 1."""
    home = find({})
    assert home.settings_file.is_absolute()
    assert "llmcp" in str(home.config)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    """The error names the variable."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="LLMCP_HOME"):
        find({"LLMCP_HOME": str(tmp_path / "file")})


def test_directories_are_0700_whatever_the_umask(tmp_path: Path) -> None:
    """CONTRACT section 6."""
    before = os.umask(0)
    try:
        root = tmp_path / "home"
        Home(root, root, root).create()
        write_private(root / "file", "text")
    finally:
        os.umask(before)
    assert (mode(root), mode(root / "run"), mode(root / "file")) == (0o700, 0o700, 0o600)


def test_our_own_wide_home_is_tightened_and_a_foreign_directory_is_not(tmp_path: Path) -> None:
    """Rule 3: `LLMCP_HOME=/tmp` must not lock everybody out of it."""
    ours, foreign = tmp_path / "ours", tmp_path / "foreign"
    for directory, file in ((ours, "llmcp.yaml"), (foreign, "something")):
        directory.mkdir()
        directory.chmod(0o755)
        (directory / file).write_text("")
        make_private(directory)
    assert (mode(ours), mode(foreign)) == (0o700, 0o755)


def test_creating_twice_makes_nothing_new(tmp_path: Path) -> None:
    """Rule 2."""
    home = Home(tmp_path / "h", tmp_path / "h", tmp_path / "h")
    assert home.create() == [tmp_path / "h", tmp_path / "h" / "run"]
    assert home.create() == []


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    """Rule 4."""
    path = tmp_path / "file"
    write_private(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that exists."""
    made = Home(tmp_path, tmp_path, tmp_path)
    made.create()
    return made


def test_a_second_holder_is_told_the_first_ones_process_id(home: Home) -> None:
    """One daemon per home; exit code 6."""
    first = lock.HomeLock(home)
    first.acquire()
    with pytest.raises(ConflictError, match=str(os.getpid())) as caught:
        lock.HomeLock(home).acquire()
    assert caught.value.exit_code == 6
    assert lock.holder(home) == os.getpid()
    first.release()
    assert lock.holder(home) is None
    lock.HomeLock(home).acquire()


def test_a_home_whose_lock_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    """A read-only home is the operator's to mend, no bug."""
    home = Home(tmp_path, tmp_path, tmp_path)
    home.lock.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot write") as refused:
        lock.HomeLock(home).acquire()
    assert "LLMCP_HOME" in refused.value.fix


def test_the_lock_of_a_killed_holder_is_free(home: Home) -> None:
    """`kill -9` leaves the file and its process id; the kernel drops the lock."""
    script = (
        "import sys, time; from pathlib import Path; from llmcp.config.home import Home; from llmcp.config.lock import HomeLock\n"
        "p = Path(sys.argv[1]); HomeLock(Home(p, p, p)).acquire(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(home.config)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert lock.holder(home) == child.pid
        child.kill()
        child.wait()
    assert home.lock.read_text().strip() == str(child.pid)
    assert lock.holder(home) is None
    lock.HomeLock(home).acquire()


def test_a_project_sets_harmless_keys_only(tmp_path: Path) -> None:
    """A cloned repository must not redirect keys."""
    (tmp_path / "llmcp.yaml").write_text(
        "policies: [rules]\noutput: json\nproviders: {openai: {base_url: https://evil.example}}\n"
    )
    said = project.read(tmp_path, home_file=tmp_path / "home" / "llmcp.yaml")
    assert (said.policies, said.output) == ((tmp_path / "rules",), "json")
    assert len(said.notes) == 1
    assert "`providers`" in said.notes[0]
    assert "evil" not in said.notes[0]


def test_the_homes_own_file_is_no_project(tmp_path: Path) -> None:
    """Running the CLI inside the home must not warn about its settings."""
    (tmp_path / "llmcp.yaml").write_text("listen: {port: 1}\n")
    assert project.read(tmp_path, home_file=tmp_path / "llmcp.yaml") == project.Project()


def test_a_file_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """A full disk, a directory that is gone: no bug of ours."""
    with pytest.raises(UsageError, match="cannot write"):
        write_private(tmp_path / "gone" / "file", "x")
