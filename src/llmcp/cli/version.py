"""`llmcp version`."""

from __future__ import annotations

import typer

from llmcp import __version__
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(version)


def version(as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Show the version of llmcp and of what it runs on.

    Example: llmcp version --json
    """
    import platform
    import sqlite3

    document = {
        "version": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }
    emit_document(document, chosen(output, as_json, Output.TEXT), f"llmcp {__version__}")
