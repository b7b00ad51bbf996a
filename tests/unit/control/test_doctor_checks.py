"""What each check of `llmcp doctor` says, and that one never stops the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmcp.control import doctor_daemon, doctor_home, doctor_machine, doctor_secrets, doctor_store
from llmcp.control.doctor import Check, Finding, Level, examine, fail, ok, sound, warn
from llmcp.core.virtual_keys import PEPPER_BYTES, PEPPER_NAME
from llmcp.errors import UnreachableError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STATUS: dict[str, Any] = {
    "pid": 7, "gateway": "http://127.0.0.1:8900", "state": "ready", "revision": "r1", "version": "1", "problems": [],
}  # fmt: skip


def levels(findings: Iterator[Finding] | list[Finding]) -> list[Level]:
    """Return the levels, having checked that what is not fine says what to do and ends as a sentence may."""
    found = list(findings)
    assert all(item.fix for item in found if item.level in {Level.WARN, Level.FAIL})
    return [item.level for item in found]


def test_a_check_that_breaks_is_a_failure_and_stops_no_other() -> None:
    """Our errors with their words, any other with its type alone."""

    def ours() -> Iterator[Finding]:
        yield ok("before")
        raise UnreachableError("away", why="gone", fix="mend it")

    def bug() -> list[Finding]:
        raise ZeroDivisionError("a secret")

    reports = examine([Check("ours", ours), Check("bug", bug), Check("fine", lambda: [ok("fine")]), Check("silent", list)])
    assert [(report.check, report.level) for report in reports] == [
        ("ours", Level.FAIL), ("bug", Level.FAIL), ("fine", Level.OK), ("silent", Level.OK),
    ]  # fmt: skip
    assert "secret" not in reports[1].said
    assert not sound(reports)
    assert sound(examine([Check("w", lambda: [warn("x", "y")])]))
    assert not sound(examine([Check("f", lambda: [fail("x", "y")])]))


def test_an_old_interpreter_fails_and_a_missing_package_warns() -> None:
    """It runs without uvloop, slower."""
    assert levels(doctor_machine.interpreter((3, 11, 9), {})) == [Level.FAIL]
    assert levels(doctor_machine.interpreter((3, 13, 0), {"uvloop": "", "msgspec": "1"})) == [Level.OK, Level.WARN]


@pytest.mark.parametrize(
    ("now", "newest", "level"),
    [
        (NOW, None, Level.OK), (NOW, NOW - timedelta(days=1), Level.OK), (NOW, NOW + timedelta(hours=1), Level.FAIL),
        (datetime(1970, 1, 1, tzinfo=UTC), None, Level.FAIL),
    ],
)  # fmt: skip
def test_a_clock_that_cannot_be_right_fails(now: datetime, newest: datetime | None, level: Level) -> None:
    """Before the program was built, or before the newest record."""
    assert levels(doctor_machine.clock(now, newest)) == [level]


def test_variables_that_lead_past_the_gateway_are_named_without_their_values() -> None:
    """A proxy that takes the gateway's own requests counts too."""
    gateway = "http://127.0.0.1:8900"
    assert levels(doctor_machine.environment({}, gateway)) == [Level.OK]
    assert levels(doctor_machine.environment({"OPENAI_BASE_URL": f"{gateway}/v1"}, gateway)) == [Level.OK]
    past = list(doctor_machine.environment({"OPENAI_BASE_URL": "https://user:pass@a.test/v1"}, gateway))
    assert [item.level for item in past] == [Level.WARN]
    assert "pass@" not in past[0].said
    proxied = {"OPENAI_BASE_URL": f"{gateway}/v1", "HTTP_PROXY": "http://p:1"}
    assert levels(doctor_machine.environment(proxied, gateway)) == [Level.WARN, Level.OK]
    assert levels(doctor_machine.environment({**proxied, "NO_PROXY": "localhost,127.0.0.1"}, gateway)) == [Level.OK]


def test_a_home_that_others_can_read_fails(tmp_path: Path) -> None:
    """Directories and files; another's files too."""
    tmp_path.chmod(0o700)
    file = tmp_path / "llmcp.yaml"
    file.write_text("")
    file.chmod(0o600)
    uid = tmp_path.stat().st_uid
    assert levels(doctor_home.privacy([tmp_path, tmp_path], [file, tmp_path / "gone"], uid)) == [Level.OK]
    assert levels(doctor_home.privacy([tmp_path], [file], uid + 1)) == [Level.FAIL, Level.FAIL]
    file.chmod(0o640)
    tmp_path.chmod(0o755)
    assert levels(doctor_home.privacy([tmp_path], [file], uid)) == [Level.FAIL, Level.FAIL]
    assert levels(doctor_home.privacy([tmp_path / "none"], [], uid)) == [Level.WARN]


def test_policies_are_compared_with_what_the_daemon_decides_by() -> None:
    """Broken ones fail, none is a warning, others than the daemon's too."""
    assert levels(doctor_home.policies(2, [], "r1", STATUS)) == [Level.OK, Level.OK]
    assert levels(doctor_home.policies(2, [], "r2", STATUS)) == [Level.OK, Level.WARN]
    assert levels(doctor_home.policies(0, [], "r1", None)) == [Level.WARN]
    assert levels(doctor_home.policies(0, ["a.yaml:1: bad"] * 9, "", STATUS)) == [Level.FAIL] * 5


def test_the_daemon_is_judged_by_its_lock_its_answer_and_its_problems() -> None:
    """None is a warning: one may be about to start it."""
    assert levels(doctor_daemon.daemon(None, None, "1")) == [Level.WARN]
    assert levels(doctor_daemon.daemon(7, None, "1")) == [Level.FAIL]
    assert levels(doctor_daemon.daemon(7, STATUS, "1")) == [Level.OK]
    assert levels(doctor_daemon.daemon(7, STATUS, "2")) == [Level.OK, Level.WARN]
    problems = [{"file": "a.yaml", "line": 3, "message": "bad"}, {"file": "llmcp.db", "line": 0, "message": "full"}]
    assert levels(doctor_daemon.daemon(7, STATUS | {"problems": problems}, "1")) == [Level.OK, Level.FAIL, Level.FAIL]


def test_ports_are_asked_for_only_where_no_daemon_has_them() -> None:
    """Port 0 is any."""
    wanted = {"gateway": 8900, "admin": 0}
    assert levels(doctor_daemon.ports(wanted, STATUS, lambda _: True)) == [Level.OK]
    assert levels(doctor_daemon.ports(wanted, None, lambda _: True)) == [Level.FAIL, Level.SKIP]
    assert levels(doctor_daemon.ports(wanted, None, lambda _: False)) == [Level.OK, Level.SKIP]


@pytest.mark.parametrize(("megabytes", "level"), [(10, Level.FAIL), (500, Level.WARN), (5000, Level.OK)])
def test_a_disk_that_fills_up_is_said_before_it_is_full(tmp_path: Path, megabytes: int, level: Level) -> None:
    """With what happens then."""
    assert levels(doctor_store.disk(tmp_path, lambda _: megabytes * 1024 * 1024, "refuse")) == [level]


class Secrets:
    """A secret store in memory."""

    kind = "file"

    def __init__(self, **kept: bytes) -> None:
        self.kept = kept

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""
        return self.kept.get(name)

    def set(self, name: str, secret: bytes) -> None:
        """Keep a secret."""
        self.kept[name] = secret

    def delete(self, name: str) -> bool:
        """Remove a secret."""
        return self.kept.pop(name, None) is not None

    def names(self) -> tuple[str, ...]:
        """Return all names."""
        return tuple(sorted(self.kept))


def test_tokens_without_their_key_fail() -> None:
    """Every one of them would get 401."""
    assert levels(doctor_secrets.pepper(Secrets(), 0)) == [Level.SKIP]
    assert levels(doctor_secrets.pepper(Secrets(), 3)) == [Level.FAIL]
    assert levels(doctor_secrets.pepper(Secrets(**{PEPPER_NAME: b"x" * PEPPER_BYTES}), 3)) == [Level.OK]


def test_credentials_that_cannot_be_read_are_named() -> None:
    """Those that were not asked for are counted."""
    assert levels(doctor_secrets.credentials(0, [], 0)) == [Level.SKIP]
    assert levels(doctor_secrets.credentials(2, [], 1)) == [Level.SKIP, Level.OK]
    assert levels(doctor_secrets.credentials(2, ["cred_a cannot be read"], 0)) == [Level.FAIL]
    assert levels(doctor_secrets.backend(Secrets(a=b"x"))) == [Level.OK]
