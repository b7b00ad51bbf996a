"""The filters that `audit query`, `audit tail`, `audit stats` and `usage` share, worded once."""

from __future__ import annotations

from typing import Annotated

import typer

Since = Annotated[str, typer.Option(help="From when: `30m`, `1h`, `7d`, or an RFC 3339 time.")]
Until = Annotated[str, typer.Option(help="Until when, in the same forms.")]
Org = Annotated[str, typer.Option(help="Only this org.")]
AppName = Annotated[str, typer.Option("--app", help="Only this app.")]
User = Annotated[str, typer.Option(help="Only this user.")]
Key = Annotated[str, typer.Option("--key", help="Only this token (virtual key), by its id.")]
Provider = Annotated[str, typer.Option(help="Only this provider.")]
Model = Annotated[str, typer.Option(help="Only this model (glob), as requested or as answered.")]
Operation = Annotated[str, typer.Option(help="Only this operation (chat, embeddings …).")]
Outcome = Annotated[str, typer.Option(help="error, cut, denied, edited, allowed …")]
Rule = Annotated[str, typer.Option(help="Only where this rule matched: `RULE` or `POLICY/RULE`.")]
Kind = Annotated[str, typer.Option(help="Only with a finding of this kind (glob): `pii.*`, `secret`.")]
Decision = Annotated[str, typer.Option("--decision-id", help="Only this decision.")]
Session = Annotated[str, typer.Option(help="Only this agent session.")]
Label = Annotated[list[str] | None, typer.Option("--label", help="Only with this label: `KEY=VALUE`, or `KEY`. Repeatable.")]
Text = Annotated[str, typer.Option(help="Only where a label (`key=value`) has this text in it.")]
