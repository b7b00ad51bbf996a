"""`llmcp doctor`: is everything as it should be?"""

from __future__ import annotations

from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody beyond this machine.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Check interpreter, home, settings, policies, store, daemon, ports, secrets and ledger; say what to do where one is wrong.

    Nothing is made or changed. Exit 1 when a check failed; warnings alone are fine. Example: llmcp doctor --offline --json
    """
    from dataclasses import asdict

    from llmcp.control.doctor import sound
    from llmcp.wiring.doctor import reports

    form = chosen(output, as_json)
    found = reports(offline=offline)
    if form is Output.TEXT:
        for report in found:
            print(f"{report.level:5} {report.check:12} {report.said}")
            if report.fix:
                print(f"{'':5} {'':12} fix: {report.fix}")
    else:
        emit_rows([asdict(report) for report in found], form, ("check", "level", "said", "fix"))
    if not sound(found):
        raise typer.Exit(1)
