"""The program log: structured, event name first, as text or as one JSON object a line.

Rules:
1. A log call is `logger.info("event_name", extra={"fields": {...}})`; the event name is a constant, what varies stands in fields.
2. No field holds a body, a header or a key: fields are what the caller names, never an object dumped whole.
3. Text and JSON carry the same fields; control characters in values are escaped, so that one event is one line.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pathlib import Path

ROTATE_BYTES = 10 * 1024 * 1024
ROTATE_KEEP = 5


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[0] is not None:
        # The type alone: an exception's text may quote what a client sent.
        fields["exception"] = record.exc_info[0].__name__
    return fields


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    quoted = json.dumps(text, ensure_ascii=False)
    return text if quoted == f'"{text}"' and text and " " not in text and "=" not in text else quoted


class TextFormatter(logging.Formatter):
    """`time level event key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields = "".join(f" {key}={_plain(value)}" for key, value in _fields(record).items())
        return f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}{fields}{_trace(record)}"


class JsonFormatter(logging.Formatter):
    """`{"event":…,"time":…,"level":…,"logger":…, fields…}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry = {
            "event": record.getMessage(),
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        for key, value in _fields(record).items():
            entry.setdefault(key, value)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or not logging.getLogger("llmcp").isEnabledFor(logging.DEBUG):
        return ""
    return "\n" + logging.Formatter().formatException(record.exc_info)


class PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotating log file that nobody else may read."""

    def _open(self) -> Any:  # noqa: ANN401 - the base class's own signature
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding or "utf-8")


def configure(level: str, form: str, *, stream: TextIO | None = None, file: Path | None = None) -> None:
    """Send the `llmcp` loggers to `stream`, or to `file` rotated. Replaces what an earlier call set up."""
    handler: logging.Handler
    if file is not None:
        handler = PrivateRotatingFile(file, maxBytes=ROTATE_BYTES, backupCount=ROTATE_KEEP, encoding="utf-8")
    else:
        handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger("llmcp")
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
