"""`llmcp audit query|tail|show`: the decision records, and what operators changed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli import audit_stats
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
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_lines, emit_rows, say
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(name="audit", help="Read, prove, export and prune the records.", no_args_is_help=True, rich_markup_mode=None)
audit_stats.register(app)

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
_POLL_S = 0.1
_MACHINE = frozenset((Output.JSON, Output.JSONL))


@app.command()
def query(
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
    stream: Annotated[str, typer.Option(help="`decision` (default), or `control`: what operators changed.")] = "",
    action: Annotated[str, typer.Option(help="Only this action (glob), such as `token.*`.")] = "",
    actor: Annotated[str, typer.Option(help="Only what this operator changed (control stream).")] = "",
    target: Annotated[str, typer.Option(help="Only what was changed about this (control stream).")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 100,
    oldest: Annotated[bool, typer.Option("--oldest", help="Begin with the oldest instead.")] = False,
    cursor: Annotated[str, typer.Option(help="Go on where a page ended; give the same filters again.")] = "",
    paged: Annotated[bool, typer.Option("--paged", help='With JSON: write {"records": […], "next": "CURSOR"}.')] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List records, newest last.

    Where there are more, standard error says how to go on. Exit 0 also when nothing matches, 2 for a filter that cannot match.
    Example: llmcp audit query --since 1h --outcome denied -o jsonl
    """
    from llmcp import wiring
    from llmcp.control import audit
    from llmcp.core.record_filter import RecordFilter

    spoken = RecordFilter(
        since=since, until=until, limit=limit, org=org, app=app_name, user=user, key_id=key, provider=provider, model=model,
        operation=operation, outcome=outcome, rule=rule, kind=kind, decision_id=decision_id, session=session,
        labels=tuple(label or ()), text=text, stream=stream, action=action, actor=actor, target=target,
        after_seq=0 if oldest else -1,
    )  # fmt: skip
    form = chosen(output, as_json, Output.TABLE)
    if paged and form is not Output.JSON:
        raise UsageError("`--paged` needs JSON", why=f"`-o {form}` is one record after the other", fix="add `--json`")
    with wiring.store() as log:
        page = audit.page(log, spoken, cursor, wiring.now())
        if paged:
            emit_document({"records": list(page.documents()), "next": page.next}, form, "")
            return
        if _emit(page.records, form, control=stream == "control") == 0 and form not in _MACHINE:
            say("no record matches")
    if page.next:
        say(f"there are more: repeat the command with `--cursor {page.next}`")


@app.command()
def tail(
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Begin with this many of the newest.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones until Ctrl-C.")] = False,
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
    session: Session = "",
    label: Label = None,
    text: Text = "",
    output: OutputOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the newest records, and with `-f` those that come.

    Ends with Ctrl-C, or when nobody reads any more. Example: llmcp audit tail -f --outcome denied
    """
    from llmcp import wiring
    from llmcp.control import audit
    from llmcp.core.record_filter import RecordFilter

    form = chosen(output, as_json, Output.TEXT)
    if follow and form in {Output.JSON, Output.TABLE}:
        form = Output.JSONL if form is Output.JSON else Output.TEXT
    spoken = RecordFilter(
        limit=lines, org=org, app=app_name, user=user, key_id=key, provider=provider, model=model, operation=operation,
        outcome=outcome, rule=rule, kind=kind, session=session, labels=tuple(label or ()), text=text,
    )  # fmt: skip
    wanted = audit.resolve_filter(spoken, wiring.now())
    with wiring.store(wait=follow) as log:
        if not follow:
            _print(log.query(wanted) if lines else (), form)
            return
        try:
            for number, found in enumerate(audit.follow(log, wanted, lambda: wiring.sleep(_POLL_S))):
                _print(found, form, header=number == 0)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


@app.command()
def show(
    decision_id: Annotated[str, typer.Argument(help="The id in `x-llmcp-decision-id`.")],
    bodies: Annotated[bool, typer.Option("--bodies", help="Show the bodies that a rule kept; leaves a control record.")] = False,
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
    if bodies:
        from llmcp.wiring.bodies import kept_bodies

        home = wiring.home()
        record = {**record, "kept": kept_bodies(home, wiring.load_settings(home), record)}
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


def _print(records: Iterable[bytes], form: Output, *, header: bool = True) -> None:
    """Write what `tail` shows now, and let a pipe have it at once."""
    if form in {Output.TEXT, Output.TABLE}:
        for data in records:
            print(line(json.loads(data)))
    else:
        _emit(records, form, header=header or form is not Output.CSV)
    sys.stdout.flush()


def _emit(records: Iterable[bytes], form: Output, *, header: bool = True, control: bool = False) -> int:
    from llmcp.control.audit import COLUMNS, CONTROL_COLUMNS, flat_control_row, flat_row

    if form is Output.JSONL:
        return emit_lines(records)
    documents = (json.loads(data) for data in records)
    if form is Output.JSON:
        return emit_rows(documents, form, ())
    if control:
        return emit_rows(map(flat_control_row, documents), form, CONTROL_COLUMNS, header=header)
    return emit_rows(map(flat_row, documents), form, _TABLE if form is not Output.CSV else COLUMNS, header=header)
