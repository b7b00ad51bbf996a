"""`llmcp audit export`: records for other programs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llmcp.cli.record_options import (
    AppName,
    Decision,
    Key,
    Kind,
    Label,
    Model,
    Operation,
    Org,
    Outcome,
    Provider,
    Rule,
    Session,
    Since,
    Text,
    Until,
    User,
)
from llmcp.cli.render import say

_TELL_S = 0.5


class Format(StrEnum):
    """The forms of an export; `control.export` has the same."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"
    OTLP = "otlp"


class Stream(StrEnum):
    """The streams of records; `core.records` has the same."""

    DECISION = "decision"
    CONTROL = "control"


class Compression(StrEnum):
    """How a file of text is packed."""

    NONE = "none"
    GZIP = "gzip"


def export(
    form: Annotated[Format, typer.Option("--format", help="The records themselves, a table, or what other systems read.")],
    out: Annotated[
        str, typer.Option("--out", help="The file to write (0600, replaced when all is written); - is standard output.")
    ] = "-",
    compress: Annotated[Compression, typer.Option(help="Pack the text forms.")] = Compression.NONE,
    stream: Annotated[Stream, typer.Option(help="What was decided, or what operators changed.")] = Stream.DECISION,
    since: Since = "",
    until: Until = "",
    org: Org = "",
    app_name: AppName = "",
    user: User = "",
    key: Key = "",
    provider: Provider = "",
    model: Model = "",
    operation: Operation = "",
    outcome: Outcome = "",
    rule: Rule = "",
    kind: Kind = "",
    decision_id: Decision = "",
    session: Session = "",
    label: Label = None,
    text: Text = "",
    action: Annotated[str, typer.Option(help="Only this action (glob), such as `token.*`.")] = "",
    actor: Annotated[str, typer.Option(help="Only what this operator changed (control stream).")] = "",
    target: Annotated[str, typer.Option(help="Only what was changed about this (control stream).")] = "",
    limit: Annotated[int, typer.Option(min=0, help="At most this many, the newest; 0 is all.")] = 0,
) -> None:
    """Write records to a file for other programs, oldest first.

    Parquet needs `llmcp[parquet]`. Exit 0 also when no record matches, 2 when the file cannot be written.
    Example: llmcp audit export --format parquet --since 7d --out week.parquet
    """
    from llmcp import __version__, wiring
    from llmcp.control import audit
    from llmcp.control.export import ExportFormat
    from llmcp.control.export import export as write
    from llmcp.core.record_filter import RecordFilter
    from llmcp.errors import UsageError
    from llmcp.wiring.exporting import output

    if form is Format.PARQUET and compress is not Compression.NONE:
        raise UsageError("Parquet is compressed by itself", fix="leave `--compress` out")
    binary = form is Format.PARQUET or compress is not Compression.NONE
    if binary and out == "-" and sys.stdout.isatty():
        raise UsageError("will not write a binary file to a terminal", fix="give a file with `--out`, or a pipe")
    spoken = RecordFilter(
        since=since, until=until, limit=limit, org=org, app=app_name, user=user, key_id=key, provider=provider, model=model,
        operation=operation, outcome=outcome, rule=rule, kind=kind, decision_id=decision_id, session=session,
        labels=tuple(label or ()), text=text, stream=stream.value, action=action, actor=actor, target=target,
    )  # fmt: skip
    wanted = audit.resolve_filter(spoken, wiring.now())
    path = None if out == "-" else Path(out).expanduser()
    telling = _Progress()
    with wiring.store() as log, output(path, compressed=compress is Compression.GZIP) as sink:
        count = write(
            log.query(wanted), ExportFormat(form.value), sink, stream=stream.value, version=__version__, progress=telling
        )
    telling.end()
    what = "record" if count == 1 else "records"
    if path is not None:
        say(f"wrote {count:,} {what} to {path} (mode 0600); remove the file to undo")
    elif not count:
        say("no record matches")


def register(audit: typer.Typer) -> None:
    """Add the verb to its noun."""
    audit.command()(export)


class _Progress:
    """Tells a person at a terminal how far it is, now and then."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty() and not sys.stdout.isatty()
        self._told = 0.0
        self._any = False

    def __call__(self, count: int) -> None:
        """Take note of the count."""
        if not self._shown:
            return
        from time import monotonic

        if monotonic() - self._told >= _TELL_S:
            self._told = monotonic()
            self._any = True
            print(f"\r{count:,} records", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line."""
        if self._any:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
