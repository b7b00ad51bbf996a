"""`llmcp audit export` from the command line: where it goes, how a file comes to be, what is refused."""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from contract.audit_log import record
from llmcp.core.records import canonical
from llmcp.errors import UsageError
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.wiring.exporting import output


def llmcp(home: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run the CLI on `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMCP_")}
    return subprocess.run(
        [sys.executable, "-m", "llmcp", *args],
        env={**kept, "LLMCP_HOME": str(home)},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with 30 records: ten of app `b`, every third denied."""
    directory = tmp_path_factory.mktemp("home")
    log = SqliteAuditLog(directory / "llmcp.db")
    log.append(
        [
            record(app="b" if number < 10 else "a", outcome="denied" if number % 3 == 0 else "allowed", user=f"u{number}")
            for number in range(30)
        ]
    )
    log.close()
    return directory


@pytest.mark.parametrize("form", ["jsonl", "csv", "ocsf", "otlp", "parquet"])
def test_each_form_goes_to_standard_output_and_the_same_to_a_file(home: Path, tmp_path: Path, form: str) -> None:
    """Whole, private, and nothing else on standard output."""
    out = tmp_path / "out"
    piped = llmcp(home, "audit", "export", "--format", form)
    filed = llmcp(home, "audit", "export", "--format", form, "--out", str(out))
    assert (piped.returncode, filed.returncode) == (0, 0), filed.stderr
    assert out.read_bytes() == piped.stdout
    assert filed.stdout == b""
    assert piped.stderr == b""
    assert b"wrote 30 records" in filed.stderr
    assert b"remove the file" in filed.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [out]


def test_filters_are_those_of_a_query(home: Path) -> None:
    """The same records in the same order."""
    filters = ["--app", "b", "--outcome", "denied", "--limit", "3"]
    exported = llmcp(home, "audit", "export", "--format", "jsonl", *filters)
    queried = llmcp(home, "audit", "query", "-o", "jsonl", *filters)
    records = [json.loads(line) for line in exported.stdout.splitlines()]
    assert records == [json.loads(line) for line in queried.stdout.splitlines()]
    assert [(one["app"], one["outcome"]) for one in records] == [("b", "denied")] * 3


def test_gzip_packs_the_same_text_the_same_way(home: Path, tmp_path: Path) -> None:
    """No name and no time in it."""
    first, second = tmp_path / "first.gz", tmp_path / "second.gz"
    for out in (first, second):
        assert llmcp(home, "audit", "export", "--format", "ocsf", "--compress", "gzip", "--out", str(out)).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == llmcp(home, "audit", "export", "--format", "ocsf").stdout


def test_no_record_is_exit_0_and_said(home: Path, tmp_path: Path) -> None:
    """An empty export is an answer too."""
    piped = llmcp(home, "audit", "export", "--format", "jsonl", "--app", "none")
    assert (piped.returncode, piped.stdout) == (0, b"")
    assert b"no record matches" in piped.stderr
    filed = llmcp(home, "audit", "export", "--format", "jsonl", "--app", "none", "--out", str(tmp_path / "out"))
    assert (filed.returncode, (tmp_path / "out").read_bytes()) == (0, b"")


@pytest.mark.parametrize(
    "args",
    [
        ("--format", "parquet", "--compress", "gzip"),
        ("--format", "xml"),
        ("--format", "jsonl", "--outcome", "great"),
        ("--format", "jsonl", "--since", "when"),
        ("--format", "jsonl", "--out", "/nowhere/at/all"),
        (),
    ],
)
def test_wrong_usage_is_exit_2(home: Path, args: tuple[str, ...]) -> None:
    """In the error format."""
    ran = llmcp(home, "audit", "export", *args)
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"error[")


def test_a_reader_that_has_seen_enough_is_no_error(home: Path) -> None:
    """`llmcp audit export --format jsonl | head -1`."""
    command = f"{sys.executable} -m llmcp audit export --format jsonl | head -c 10"
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env={**os.environ, "LLMCP_HOME": str(home)},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0
    assert ran.stderr == b""


def test_what_was_there_stays_when_an_export_fails(tmp_path: Path) -> None:
    """And nothing half-written is left behind."""
    out = tmp_path / "out"
    out.write_text("before")

    def fail() -> None:
        with output(out, compressed=False) as sink:
            sink.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]
    with output(out, compressed=False) as sink:
        sink.write(b"after")
        sink.flush()
        assert out.read_text() == "before"
    assert out.read_text() == "after"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """`--out /dev/null` must not make it a file."""
    with output(Path("/dev/null"), compressed=True) as sink:
        sink.write(b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with output(pipe, compressed=False) as sink:
        sink.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_a_link_keeps_leading_where_it_led(tmp_path: Path) -> None:
    """The file behind it is what is replaced."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("before")
    link.symlink_to(real)
    with output(link, compressed=False) as sink:
        sink.write(b"after")
    assert link.is_symlink()
    assert real.read_text() == "after"


def test_a_directory_is_no_place_to_write_to(tmp_path: Path) -> None:
    """Said in the error format, not as a traceback."""
    with pytest.raises(UsageError), output(tmp_path, compressed=False):
        pass


def test_an_export_holds_what_is_there_when_it_begins(home: Path) -> None:
    """Records that come meanwhile are not waited for."""
    log = SqliteAuditLog(home / "llmcp.db")
    before = log.last_seq()
    from llmcp.control.export import ExportFormat, export
    from llmcp.core.record_filter import RecordFilter

    class Growing:
        """A sink that makes a record of each write."""

        written = b""

        def write(self, data: bytes) -> int:
            """Keep it, and append a record."""
            self.written += data
            log.append([record()])
            return len(data)

    sink = Growing()
    count = export(
        log.query(RecordFilter()), ExportFormat.JSONL, sink, stream="decision", version="1", progress=lambda _: None  # type: ignore[arg-type]
    )  # fmt: skip
    log.close()
    assert count == before
    assert canonical(record()) not in sink.written


def test_each_filter_of_a_query_is_one_of_an_export(home: Path) -> None:
    """But for what pages and what words the output."""

    def options(verb: str) -> set[str]:
        text = llmcp(home, "audit", verb, "--help").stdout.decode()
        return set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))

    own_of_query = {"--json", "--output", "--oldest", "--cursor", "--paged"}
    assert options("query") - own_of_query == options("export") - {"--format", "--out", "--compress"}
