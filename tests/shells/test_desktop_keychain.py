"""The keychain of a Linux desktop, through `keyring` itself and a real bus: kept, found again, and never a question to a person.

The Secret Service behind the bus is a small one of our own; who asks it is the library that a desktop has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.marker import places

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keychain of a Linux desktop")

MARKER = "sk-" + "keychain" * 4


@pytest.fixture(scope="module", autouse=True)
def _bus() -> None:
    if shutil.which("dbus-daemon") is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("the keychain could not be tested, and CI must test it: dbus-daemon is not installed")
        pytest.skip("KEYCHAIN NOT TESTED: dbus-daemon is not installed")


_SERVICE = Path(__file__).parents[1] / "fakes" / "secret_service.py"
_CONFIG = """<busconfig><type>session</type><listen>unix:path={path}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>{answers}<allow own="*"/></policy></busconfig>"""


class Desktop:
    """A bus, the service on it, and the command line of somebody who is logged in there."""

    def __init__(self, root: Path, address: str, service: subprocess.Popen[str]) -> None:
        self.home = root / "home"
        self.address = address
        self.service = service

    def cli(self, *args: str, stdin: str = "", bus: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command line, in the desktop's session or outside of it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("LLMCP_", "DBUS_", "PYTHON_KEYRING"))}
        env |= {"LLMCP_HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home.parent)}
        if bus:
            env["DBUS_SESSION_BUS_ADDRESS"] = self.address
        return subprocess.run(
            [sys.executable, "-m", "llmcp", *args], env=env, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    def questions(self) -> str:
        """End the service and return what it would have asked a person."""
        self.service.terminate()
        return self.service.communicate(timeout=10)[0]


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Callable[[str], Desktop]]:
    """Give what makes a desktop whose keyring is `unlocked`, `locked`, not there (`none`), or on a bus that never answers (`silent`)."""
    started: list[subprocess.Popen[str]] = []

    def make(state: str) -> Desktop:
        config = tmp_path / "bus.conf"
        answers = "" if state == "silent" else '<allow eavesdrop="true"/>'
        config.write_text(_CONFIG.format(path=tmp_path / "bus", answers=answers))
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        started.append(bus)
        assert bus.stdout is not None
        address = bus.stdout.readline().strip()
        env = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
        service = subprocess.Popen([sys.executable, str(_SERVICE), state], env=env, stdout=subprocess.PIPE, text=True)
        started.append(service)
        assert service.stdout is not None
        assert state == "silent" or service.stdout.readline().strip() == "ready"
        return Desktop(tmp_path, address, service)

    yield make
    for process in reversed(started):
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_a_key_lies_in_the_keychain_and_is_found_again(desktop: Callable[[str], Desktop]) -> None:
    """Set, replace, read and remove; the home has no encrypted file, and says where its secrets are."""
    here = desktop("unlocked")
    done = here.cli("key", "set", "openai", "--stdin", stdin=MARKER)
    assert done.returncode == 0, done.stderr
    assert "OS keychain" in done.stderr
    assert not (here.home / "credentials.enc").exists()
    assert (here.home / "credentials.keychain").exists()
    assert here.cli("key", "rotate", "openai", "--stdin", stdin="sk-" + "another" * 4).returncode == 0
    tested = here.cli("key", "test", "--timeout", "1")
    assert "cannot be read" not in tested.stdout
    assert "no master key" in here.cli("key", "rotate", "--master").stderr
    assert here.cli("key", "remove", "openai").returncode == 0
    assert places(here.home, MARKER) == []
    assert here.questions() == ""


def test_outside_of_the_session_the_keychain_is_said_to_be_away(desktop: Callable[[str], Desktop]) -> None:
    """Not "no such key", and no second place for keys in silence."""
    here = desktop("unlocked")
    assert here.cli("key", "set", "openai", "--stdin", stdin=MARKER).returncode == 0
    tested = here.cli("key", "test", bus=False)
    assert (tested.returncode, "keychain cannot be used" in tested.stdout) == (1, True)
    assert here.cli("key", "set", "groq", "--stdin", stdin="gsk_" + "x" * 20, bus=False).returncode == 5
    assert not (here.home / "credentials.enc").exists()


@pytest.mark.parametrize("state", ["locked", "none", "silent"])
def test_a_keychain_that_would_ask_is_not_used(desktop: Callable[[str], Desktop], state: str) -> None:
    """Nor one that does not answer: the file takes its place at the first key, no dialog came up, nothing hangs."""
    here = desktop(state)
    done = here.cli("key", "set", "openai", "--stdin", stdin=MARKER)
    assert done.returncode == 0, done.stderr
    assert "credentials.enc" in done.stderr
    assert (here.home / "credentials.enc").exists()
    assert here.questions() == ""
