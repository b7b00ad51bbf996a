"""`llmcp policy check|list|show|eval`."""

from __future__ import annotations

import typer

app = typer.Typer(name="policy", help="Check, list and try policies.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def policy() -> None:
    """Check, list and try policies."""
