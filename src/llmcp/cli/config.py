"""`llmcp config get|set|unset|list|validate`: the settings of the home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say

if TYPE_CHECKING:
    from llmcp.wiring.configuring import Changed

app = typer.Typer(name="config", help="Read and change the settings of the home.", no_args_is_help=True, rich_markup_mode=None)


def _keys(incomplete: str) -> list[str]:
    """Complete a key."""
    from llmcp.control.config_keys import known

    return [key for key in known() if key.startswith(incomplete)]


Key = Annotated[str, typer.Argument(help="Such as `listen.port` or `providers.openai.base_url`.", autocompletion=_keys)]


@app.command()
def get(key: Key, as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Print the value in force of one setting; with `--json` also where it comes from.

    Exit 2 for a key that does not exist, with the nearest ones. Example: llmcp config get listen.port
    """
    from llmcp.control.config_keys import show_value
    from llmcp.wiring import configuring

    row = configuring.get(key)
    emit_document(row, chosen(output, as_json), show_value(row["value"]))


@app.command("set")
def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="The value; a list as `a,b` or a JSON array.")],
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Set one key in the home's `llmcp.yaml`; comments and order stay, a running daemon takes it by itself.

    The whole file must load with it, or nothing is written (exit 2). Exit 4 for a value that is a secret: `llmcp key set` keeps
    those. Example: llmcp config set auth.require_virtual_key true
    """
    from llmcp.wiring import configuring

    _tell(configuring.set_key(key, value), chosen(output, as_json))


@app.command()
def unset(key: Key, as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Take one key out of the home's `llmcp.yaml`, so that its default holds again.

    Exit 3 when it does not stand there. Example: llmcp config unset listen.port
    """
    from llmcp.wiring import configuring

    _tell(configuring.unset_key(key), chosen(output, as_json))


@app.command("list")
def list_(
    section: Annotated[str, typer.Argument(help="Only this section.")] = "",
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List all settings in force: key and value, with `--origin` also who says so (default, file and line, variable).

    Flags of a running daemon are its own and not seen here. Example: llmcp config list --origin
    """
    from llmcp.control.config_keys import show_value
    from llmcp.wiring import configuring

    rows = configuring.rows(section)
    form = chosen(output, as_json, Output.TABLE)
    if form in {Output.TABLE, Output.TEXT, Output.CSV}:
        rows = [row | {"value": show_value(row["value"])} for row in rows]
    emit_rows(rows, form, ("key", "value", "origin") if origin else ("key", "value"))


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="A settings file.", show_default="the home's")] = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Check settings without using them: the home's with the environment, or a file alone.

    Exit 2 with file, line and column of what is wrong, 3 when there is no such file. Example: llmcp config validate ./llmcp.yaml
    """
    from llmcp.wiring import configuring

    name = configuring.validate(file)
    there = Path(name).exists()
    said = f"{name} is valid" if there else f"there is no {name}: the defaults and the environment hold"
    emit_document({"file": name, "valid": True}, chosen(output, as_json), said)


def _tell(changed: Changed, form: Output) -> None:
    from dataclasses import asdict

    before = "(not set)" if changed.before is None else changed.before
    after = "(not set)" if changed.after is None else changed.after
    emit_document(asdict(changed), form, "")
    if changed.before == changed.after:
        say(f"{changed.key} is {after} already; nothing was written")
        return
    say(f"{changed.key}: {before} -> {after} in {changed.file}")
    if changed.overridden_by:
        say(f"note: here the variable {changed.overridden_by} overrides it")
    if changed.needs_restart:
        say("note: a running daemon takes it at its next start")
    if changed.not_recorded:
        say(f"warning: the change stands in no control record: {changed.not_recorded}")
    undo = f"unset {changed.key}" if changed.before is None else f"set {changed.key} {_quoted(changed.before)}"
    say(f"undo: llmcp config {undo}")


def _quoted(value: str) -> str:
    from shlex import quote

    return f"-- {quote(value)}" if value.startswith("-") else quote(value)
