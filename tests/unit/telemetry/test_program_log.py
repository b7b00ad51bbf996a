"""Rules of `llmcp.telemetry.log`."""

from __future__ import annotations

import io
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmcp.telemetry import log as program_log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger("llmcp")
    before = (list(root.handlers), root.level, root.propagate)
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.propagate = before[0], before[2]
    root.setLevel(before[1])


def logged(form: str, level: str = "info") -> io.StringIO:
    """Log one event with awkward values; return what was written."""
    stream = io.StringIO()
    program_log.configure(level, form, stream=stream)
    logging.getLogger("llmcp.test").info("happened", extra={"fields": {"path": "a b", "n": 3, "text": "x\ny=\x1b[31m"}})
    return stream


def test_json_is_one_object_a_line_with_the_event_first() -> None:
    """Rule 3."""
    lines = logged("json").getvalue().splitlines()
    assert len(lines) == 1
    entry = json.loads(lines[0])
    assert next(iter(entry)) == "event"
    assert (entry["event"], entry["level"], entry["n"], entry["path"]) == ("happened", "info", 3, "a b")


def test_text_is_one_line_and_cannot_steer_a_terminal() -> None:
    """Rule 3: control characters are escaped."""
    text = logged("text").getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert 'path="a b" n=3' in text


def test_an_exception_is_named_and_its_text_is_not_written() -> None:
    """Rule 2: an exception's message may quote what a client sent."""
    stream = io.StringIO()
    program_log.configure("info", "json", stream=stream)
    logging.getLogger("llmcp.test").error("failed", exc_info=ValueError("the body of a request"))
    assert json.loads(stream.getvalue())["exception"] == "ValueError"
    assert "body" not in stream.getvalue()


def test_levels_below_the_chosen_one_are_silent() -> None:
    """`LLMCP_LOG_LEVEL`."""
    assert logged("json", "warning").getvalue() == ""


def test_a_log_file_is_private_and_rotates(tmp_path: Path) -> None:
    """Files are 0600."""
    path = tmp_path / "llmcp.log"
    program_log.configure("info", "text", file=path)
    handler = logging.getLogger("llmcp").handlers[0]
    assert isinstance(handler, program_log.PrivateRotatingFile)
    logging.getLogger("llmcp.test").info("one")
    handler.doRollover()
    logging.getLogger("llmcp.test").info("two")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["llmcp.log", "llmcp.log.1"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}
