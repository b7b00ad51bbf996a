"""The snapshot that a daemon holds: read in a thread, kept where a source fails, and free of cost where nothing is stored."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmcp.config.home import Home
from llmcp.control.change import Change
from llmcp.control.credentials import Wanted, set_key
from llmcp.core.settings import Settings
from llmcp.wiring.credentials import fresh_id, open_keys, snapshot, store_path

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = "sk-" + "snap" * 8
NEWER = "sk-" + "newr" * 8
SETTINGS = Settings(credentials={"backend": "file"})  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give a home with one stored key."""
    found = Home(tmp_path, tmp_path, tmp_path)
    put(found)
    return found


def put(home: Home, key: str = KEY, number: int = 1, **wanted: str) -> None:
    """Set a key."""
    keys = open_keys(home, SETTINGS, print)
    set_key(keys, Wanted("openai", **wanted), key, Change("local:tester", NOW.replace(minute=number), f"c_{number}"), fresh_id())  # type: ignore[arg-type]


def test_a_snapshot_has_every_secret_that_can_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored and of the environment; what is missing is a problem in words."""
    put(home, "", 2, label="b", source="env:SNAPSHOT_KEY")
    put(home, "", 3, label="c", source="env:SNAPSHOT_MISSING")
    monkeypatch.setenv("SNAPSHOT_KEY", "from-the-environment")
    found = snapshot(home, SETTINGS, store_path(home, SETTINGS))
    assert sorted(each.secret for each in found.credentials) == ["from-the-environment", KEY]
    assert "SNAPSHOT_MISSING" in found.problems[0]
    assert found.outside


def test_a_snapshot_may_be_taken_in_any_thread(home: Home) -> None:
    """The daemon takes it beside its loop."""
    found = []
    thread = threading.Thread(target=lambda: found.append(snapshot(home, SETTINGS, store_path(home, SETTINGS))))
    thread.start()
    thread.join()
    assert found[0].credentials[0].secret == KEY


def test_a_master_key_that_is_gone_keeps_what_was_known(home: Home) -> None:
    """A rotation cannot be taken up then: the traffic goes on with the old key, the problem is told until it is mended."""
    path = store_path(home, SETTINGS)
    first = snapshot(home, SETTINGS, path)
    put(home, NEWER, 2)
    (home.config / "master.key").rename(home.config / "away")
    second = snapshot(home, SETTINGS, path, first)
    assert [each.secret for each in second.credentials] == [KEY]
    assert "master key" in second.problems[0]
    (home.config / "away").rename(home.config / "master.key")
    third = snapshot(home, SETTINGS, path, second)
    assert ([each.secret for each in third.credentials], third.problems) == ([NEWER], ())


def test_a_first_start_without_the_master_key_has_no_credential(home: Home) -> None:
    """And says so."""
    (home.config / "master.key").unlink()
    found = snapshot(home, SETTINGS, store_path(home, SETTINGS))
    assert (found.credentials, len(found.problems)) == ((), 1)


def test_without_credentials_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """Neither keyring nor cryptography nor boto3 take part in a start that has nothing to read."""
    script = (
        "import sys; from pathlib import Path; from llmcp.config.home import Home; from llmcp.core.settings import Settings;"
        "from llmcp.wiring.credentials import snapshot, store_path; p = Path(sys.argv[1]); h = Home(p, p, p); s = Settings();"
        "print(snapshot(h, s, store_path(h, s)), [m for m in ('keyring', 'cryptography', 'boto3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Snapshot(credentials=(), problems=()) []"
