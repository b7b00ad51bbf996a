"""`llmcp usage`: who used how much, and what it cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli.chart import bars
from llmcp.cli.record_options import (
    AppName,
    Key,
    Kind,
    Label,
    Model,
    Operation,
    Org,
    Outcome,
    Provider,
    Rule,
    Since,
    Text,
    Until,
    User,
)
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_rows, say, usd
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmcp.core.usage import UsageAnswer

_SHOWN = ("requests", "input_tokens", "output_tokens", "cached_tokens")


def usage(
    by: Annotated[
        str,
        typer.Option(
            help="What a row stands for: model, response_model, org, app, user, key, provider, operation, outcome, hour, day, month,"
            " label, label:KEY; several joined by commas."
        ),
    ] = "model",
    since: Since = "24h",
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
    label: Label = None,
    text: Text = "",
    chart: Annotated[bool, typer.Option("--chart", help="Draw bars instead of a table.")] = False,
    measure: Annotated[str, typer.Option(help="What is drawn: cost, requests, input_tokens, output_tokens …")] = "",
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Add up requests, tokens and money.

    Times are UTC. Exit 0 also when nothing matches, 2 for a filter that cannot match. Example: llmcp usage --by model,org --since 7d
    """
    from llmcp import wiring
    from llmcp.control import usage as control
    from llmcp.core.record_filter import RecordFilter

    spoken = RecordFilter(
        since=since, until=until, org=org, app=app_name, user=user, key_id=key, provider=provider, model=model,
        operation=operation, outcome=outcome, rule=rule, kind=kind, labels=tuple(label or ()), text=text,
    )  # fmt: skip
    form = chosen(output, as_json, Output.TABLE)
    if chart and form not in {Output.TABLE, Output.TEXT}:
        raise UsageError(f"`--chart` and `-o {form}` contradict each other", fix="give one of them")
    drawn = _measure(measure)
    query = control.resolve_usage(spoken, by, wiring.now())
    answer = wiring.usage_log().answer(query)
    for note in control.notes(answer, query.by):
        say(note)
    if form in {Output.JSON, Output.JSONL}:
        emit_rows(control.documents(answer, query.by), form, ())
    elif form is Output.CSV:
        emit_rows(control.documents(answer, query.by), form, (*query.by, *_measures()))
    elif not answer.rows:
        say("no request in this time")
    elif chart:
        _draw(answer, query.by, drawn or control.measure_of(answer))
    else:
        _tabulate(answer, query.by)


def register(app: typer.Typer) -> None:
    """Add the verb to the root."""
    app.command()(usage)


def _measures() -> tuple[str, ...]:
    from llmcp.core.usage import MEASURES

    return MEASURES


def _measure(spoken: str) -> str:
    name = "cost_microusd" if spoken in {"cost", "usd"} else spoken
    if name and name not in _measures():
        raise UsageError(
            f"there is no measure `{spoken[:64]}`", why=f"there are cost, {', '.join(_measures())}", fix="use one of them"
        )
    return name


def _tabulate(answer: UsageAnswer, by: Sequence[str]) -> None:
    from llmcp.control import usage as control

    rows: list[dict[str, Any]] = [*control.documents(answer, by)]
    if len(rows) > 1 and "label" not in by:
        rows.append({by[0]: "total", **control.total(answer)})
    for row in rows:
        row.update({name: row[name] or "-" for name in by if name in row})
        row.update({name: f"{row[name]:,}" for name in _SHOWN}, cost=usd(row["cost_microusd"]))
    columns = (*by, *_SHOWN, "cost")
    emit_rows(rows, Output.TABLE, columns, right=(*_SHOWN, "cost"))


def _draw(answer: UsageAnswer, by: Sequence[str], measure: str) -> None:
    import shutil

    from llmcp.control import usage as control

    money = measure == "cost_microusd"
    print(f"{'cost' if money else measure.replace('_', ' ')} by {', '.join(by)}")
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    figure = usd if money else "{:,}".format
    points = control.series(answer, by, measure)
    for line in bars(points, figure, width=shutil.get_terminal_size((80, 24)).columns, plain="utf" not in encoding):
        print(line)
