"""`llmcp env`: what a shell must export so that SDKs talk to the gateway."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, say
from llmcp.errors import UsageError


class Shell(StrEnum):
    """The shells whose syntax is written."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(env)


def variables(gateway: str) -> dict[str, str]:
    """Return the variables that the official SDKs read, for a gateway at `gateway` (no trailing slash)."""
    return {
        "OPENAI_BASE_URL": f"{gateway}/v1",
        "ANTHROPIC_BASE_URL": gateway,
        "GOOGLE_GEMINI_BASE_URL": f"{gateway}/gemini",
    }


def lines(values: dict[str, str], shell: Shell, *, unset: bool) -> list[str]:
    """Return the shell lines that set or unset `values`."""
    match shell:
        case Shell.SH:
            return [f"unset {name}" if unset else f"export {name}='{value}'" for name, value in values.items()]
        case Shell.FISH:
            return [f"set -e {name}" if unset else f"set -gx {name} '{value}'" for name, value in values.items()]
        case Shell.POWERSHELL:
            return [
                f"Remove-Item Env:{name} -ErrorAction SilentlyContinue" if unset else f"$env:{name} = '{value}'"
                for name, value in values.items()
            ]


def env(
    unset: Annotated[bool, typer.Option("--unset", help="Write the lines that take the variables away again.")] = False,
    shell: Annotated[str, typer.Option("--shell", help="sh (bash, zsh), fish or powershell; default: as $SHELL says.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Print the shell lines that point the OpenAI, Anthropic and Gemini SDKs at the gateway.

    Nothing is written to disk. In a shell that ran them, a stopped daemon breaks those SDKs' calls until `--unset`.
    Example: eval "$(llmcp env)"
    """
    from llmcp import wiring
    from llmcp.config import environment

    status = wiring.daemon_status(wiring.home())
    if status is not None:
        gateway = str(status["gateway"]).rstrip("/")
    else:
        listen = wiring.load_settings(wiring.home()).listen
        gateway = f"http://{listen.host}:{listen.port}"
        if not unset:
            say("note: no daemon is running on this home; start one with `llmcp serve`")
    values = variables(gateway)
    if as_json:
        print(json.dumps(values, indent=2))
        return
    print("\n".join(lines(values, _shell(shell or environment.shell()), unset=unset)))


def _shell(name: str) -> Shell:
    last = name.rsplit("/", 1)[-1].lower().removesuffix(".exe")
    match last:
        case "fish":
            return Shell.FISH
        case "pwsh" | "powershell":
            return Shell.POWERSHELL
        case "" | "sh" | "bash" | "zsh" | "dash" | "ksh":
            return Shell.SH
        case _:
            raise UsageError(
                f"unknown shell `{last}`", why="known are sh, bash, zsh, fish and powershell", fix="say `--shell sh`"
            )
