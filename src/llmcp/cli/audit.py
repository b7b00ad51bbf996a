"""`llmcp audit query|tail|show`: the decision records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

app = typer.Typer(name="audit", help="Read the decision records.", no_args_is_help=True, rich_markup_mode=None)

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
    from llmcp.control.audit import Filters

    filters = Filters(
        since=since, until=until, org=org, app=app_name, user=user, provider=provider, model=model, operation=operation,
        outcome=outcome, rule=rule, decision_id=decision_id, limit=limit,
    )  # fmt: skip
    form = chosen(output, as_json, Output.TABLE)
    with wiring.audit() as audit:
        if _emit(audit.query(filters), form) == 0 and form in {Output.TABLE, Output.TEXT}:
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
    from llmcp.control.audit import Filters

    form = chosen(output, as_json, Output.TEXT)
    with wiring.audit() as audit:
        records = audit.tail(Filters(outcome=outcome, limit=max(lines, 1)), lines=lines, follow=follow)
        if form in {Output.TEXT, Output.TABLE}:
            for record in records:
                print(line(record), flush=True)
        elif form is Output.JSON and follow:
            _emit(records, Output.JSONL)
        else:
            _emit(records, form)


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

    with wiring.audit() as audit:
        record = audit.show(decision_id)
    if record is None:
        raise NotFoundError(f"there is no decision `{decision_id}`", fix="`llmcp audit query` lists them")
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


def _emit(records: Iterable[dict[str, Any]], form: Output) -> int:
    from llmcp.control.audit import COLUMNS, flat

    if form in {Output.JSON, Output.JSONL}:
        return emit_rows(records, form, ())
    rows: Iterator[dict[str, Any]] = (flat(record) for record in records)
    return emit_rows(rows, form, COLUMNS)
