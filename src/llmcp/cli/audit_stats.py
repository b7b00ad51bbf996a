"""`llmcp audit stats`: what a span of time looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say, usd

if TYPE_CHECKING:
    from collections.abc import Iterator


def stats(
    since: Since = "24h",
    until: Until = "",
    by: Annotated[str, typer.Option(help="How to group: outcome, model, org, app, user, key, day …")] = "outcome,model",
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
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Count requests, errors, refusals, tokens and money, and say how long requests took.

    Latency and refusing rules are of the newest 20,000 records; all else is exact. Exit 0 also when nothing
    matches, 2 for a filter that cannot match. Example: llmcp audit stats --since 7d --by org
    """
    from llmcp import wiring
    from llmcp.control import audit, audit_stats
    from llmcp.core.record_filter import RecordFilter

    spoken = RecordFilter(
        since=since, until=until, org=org, app=app_name, user=user, key_id=key, provider=provider, model=model,
        operation=operation, outcome=outcome, rule=rule, kind=kind, labels=tuple(label or ()), text=text,
    )  # fmt: skip
    form = chosen(output, as_json, Output.TEXT)
    wanted = audit.resolve_filter(spoken, wiring.now())
    with wiring.store() as log:
        found = audit_stats.stats(log, wiring.usage_log(), wanted, by)
    if found["rounded"]:
        say("records at the bounds were pruned: whole hours were taken")
    if form is Output.CSV or form is Output.TABLE:
        emit_rows(found["groups"], form, list(found["groups"][0]) if found["groups"] else [])
    else:
        emit_document(found, form, "\n".join(_told(found)))


def register(app: typer.Typer) -> None:
    """Add the verb to the noun."""
    app.command()(stats)


def _told(found: dict[str, Any]) -> Iterator[str]:
    yield f"{'requests':14}{found['requests']:,}"
    yield f"{'errors':14}{found['errors']:,}{_share(found['errors'], found['requests'])}"
    yield f"{'refused':14}{found['refused']:,}{_share(found['refused'], found['requests'])}"
    yield f"{'tokens':14}{found['input_tokens']:,} in ({found['cached_tokens']:,} cached), {found['output_tokens']:,} out"
    yield f"{'cost':14}{usd(found['cost_microusd'])}"
    latency = found["latency"]
    yield (
        f"{'latency':14}p50 {latency['p50_ms']:,} ms, p95 {latency['p95_ms']:,} ms, p99 {latency['p99_ms']:,} ms"
        f" (newest {latency['records']:,} records)"
    )
    yield f"{'of it llmcp':14}p50 {latency['overhead_p50_us']:,} µs, p95 {latency['overhead_p95_us']:,} µs"
    for title, rows, name in (
        ("outcomes", [{"outcome": key, "requests": count} for key, count in found["outcomes"].items()], "outcome"),
        ("refused by", found["refusals"], "rule"),
        ("error types", found["error_types"], "error_type"),
        *((f"busiest {name}", rows, name) for name, rows in found["busiest"].items()),
    ):
        if rows:
            yield f"{title:14}" + ", ".join(f"{_plain(row[name])} {row['requests']:,}" for row in rows)


def _share(part: int, whole: int) -> str:
    return f" ({part * 100 / whole:.1f} %)" if part and whole else ""


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
