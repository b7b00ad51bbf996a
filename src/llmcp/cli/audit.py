"""`llmcp audit query|tail|show`: the decision records."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

app = typer.Typer(name="audit", help="Read the decision records.", no_args_is_help=True, rich_markup_mode=None)

# What fits a terminal; CSV has every column.
_TABLE = (
    "time",
    "outcome",
    "provider",
    "request_model",
    "operation",
    "rules",
    "input_tokens",
    "output_tokens",
    "cost_microusd",
    "decision_id",
)
_POLL_S = 0.2

Since = Annotated[str, typer.Option(help="From when: `30m`, `1h`, `7d`, or an RFC 3339 time.")]
Until = Annotated[str, typer.Option(help="Until when, in the same forms.")]
Org = Annotated[str, typer.Option(help="Only this org.")]
AppName = Annotated[str, typer.Option("--app", help="Only this app.")]
User = Annotated[str, typer.Option(help="Only this user.")]
Provider = Annotated[str, typer.Option(help="Only this provider.")]
Model = Annotated[str, typer.Option(help="Only this model, as requested or as answered.")]
Operation = Annotated[str, typer.Option(help="Only this operation (chat, embeddings …).")]
Outcome = Annotated[str, typer.Option(help="error, cut, denied, edited, allowed …")]
Rule = Annotated[str, typer.Option(help="Only where this rule matched: `RULE` or `POLICY/RULE`.")]
Decision = Annotated[str, typer.Option("--decision-id", help="Only this decision.")]


@app.command()
def query(
    since: Since = "",
    until: Until = "",
    org: Org = "",
    app_name: AppName = "",
    user: User = "",
    provider: Provider = "",
    model: Model = "",
    operation: Operation = "",
    outcome: Outcome = "",
    rule: Rule = "",
    decision_id: Decision = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 100,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List records, newest last.

    Example: llmcp audit query --since 1h --outcome denied -o jsonl
    """
    from llmcp import wiring
    from llmcp.control import audit
    from llmcp.core.record_filter import RecordFilter

    spoken = RecordFilter(
        since=since, until=until, limit=limit, org=org, app=app_name, user=user, provider=provider, model=model,
        operation=operation, outcome=outcome, rule=rule, decision_id=decision_id,
    )  # fmt: skip
    wanted = audit.resolve_filter(spoken, wiring.now())
    form = chosen(output, as_json, Output.TABLE)
    with wiring.store() as log:
        if _emit(audit.query(log, wanted), form) == 0 and form in {Output.TABLE, Output.TEXT}:
            say("no record matches")


@app.command()
def tail(
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Begin with this many of the newest.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones until Ctrl-C.")] = False,
    outcome: Outcome = "",
    output: OutputOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the newest records, and with `-f` those that come.

    Example: llmcp audit tail -f --outcome denied
    """
    from llmcp import wiring
    from llmcp.control import audit
    from llmcp.core.record_filter import RecordFilter

    form = chosen(output, as_json, Output.TEXT)
    if follow and form in {Output.JSON, Output.TABLE}:
        form = Output.JSONL if form is Output.JSON else Output.TEXT
    wanted = audit.resolve_filter(RecordFilter(outcome=outcome, limit=max(lines, 1)), wiring.now())
    with wiring.store() as log:
        rows, seen = audit.tail(log, wanted)
        _print(rows if lines else [], form)
        while follow:
            wiring.sleep(_POLL_S)
            rows, seen = audit.tail(log, wanted, seen)
            _print(rows, form, header=False)


@app.command()
def show(
    decision_id: Annotated[str, typer.Argument(help="The id in `x-llmcp-decision-id`.")],
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Show one record whole.

    Exit 3 when there is none. Example: llmcp audit show d_01…
    """
    from llmcp import wiring
    from llmcp.control import audit

    with wiring.store() as log:
        record = audit.show(log, decision_id)
    emit_document(record, chosen(output, as_json), json.dumps(record, indent=2, ensure_ascii=False))


def line(record: dict[str, Any]) -> str:
    """Return a record on one line for a person who watches."""
    gen_ai = record["gen_ai"]
    rules = " ".join(f"{rule['policy']}/{rule['id']}" for rule in record["rules"])
    parts = (
        record["time"][:19],
        f"{record['outcome']:8}",
        f"{gen_ai['provider']}/{gen_ai['request_model'] or '-'}",
        record["operation"],
        f"in {gen_ai['input_tokens']} out {gen_ai['output_tokens']}",
        f"${record['cost_microusd'] / 1e6:.6f}",
        f"{record['latency_ms']} ms",
        rules or record["error_type"],
        record["decision_id"],
    )
    text = "  ".join(part for part in parts if part)
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _print(rows: list[dict[str, Any]], form: Output, *, header: bool = True) -> None:
    """Write what `tail` shows now, and let a pipe have it at once."""
    if form in {Output.TEXT, Output.TABLE}:
        for row in rows:
            print(line(row))
    elif form is Output.CSV and not header:
        _emit(rows, form, header=False)
    else:
        _emit(rows, form)
    sys.stdout.flush()


def _emit(records: Iterable[dict[str, Any]], form: Output, *, header: bool = True) -> int:
    from llmcp.control.audit import COLUMNS, flat_row

    if form in {Output.JSON, Output.JSONL}:
        return emit_rows(records, form, ())
    rows: Iterator[dict[str, Any]] = (flat_row(record) for record in records)
    return emit_rows(rows, form, _TABLE if form in {Output.TABLE, Output.TEXT} else COLUMNS, header=header)
