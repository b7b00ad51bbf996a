"""`llmcp completion SHELL`, and the scripts that the project ships."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells with a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


FILES = {Shell.BASH: "llmcp.bash", Shell.ZSH: "_llmcp", Shell.FISH: "llmcp.fish", Shell.POWERSHELL: "llmcp.ps1"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(completion)


def script(shell: Shell) -> str:
    """Return the completion script of `shell`; it asks the installed `llmcp` for its words."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="llmcp", complete_var="_LLMCP_COMPLETE", shell=str(shell)).rstrip() + "\n"


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh, fish or powershell.")]) -> None:
    """Print the completion script of a shell.

    Example: llmcp completion bash > ~/.local/share/bash-completion/completions/llmcp
    """
    typer.echo(script(shell), nl=False)
