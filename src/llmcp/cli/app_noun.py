"""`llmcp app create|list|show|set|remove`: the programs of an org."""

from __future__ import annotations

from typing import Annotated

import typer

from llmcp.cli import facts
from llmcp.cli.org import say_changed
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import UsageError

app = typer.Typer(name="app", help="Manage apps, the programs of an org.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The app's name.")]
Org = Annotated[str, typer.Option(help="The org that it belongs to.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A new name within the org: `[a-z0-9][a-z0-9_.-]{0,63}`.")],
    org: Org = "default",
    title: Annotated[str, typer.Option(help="Words for people.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Create an app of an org in the store.

    Exit 3 where the org is not there, 6 where the name is taken. Example: llmcp app create notebook --org research
    """
    from llmcp.control import apps
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    made = apps.create_app(wired.identities(), changes.change(), org, name, title=title)
    emit_document(apps.app_document(made), chosen(None, as_json), "")
    say(f"app `{name}` of `{org}` created; undo with `llmcp app remove {name} --org {org}`")


@app.command("list")
def list_(
    org: Annotated[str | None, typer.Option(help="Only this org's.")] = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List all apps by org and name.

    Exit 3 where the org is not there. Example: llmcp app list --org research
    """
    from llmcp.control import apps
    from llmcp.wiring import identities as wired

    rows = [apps.app_document(item) for item in apps.list_apps(wired.identities(), org)]
    if not emit_rows(rows, chosen(output, as_json, Output.TABLE), ("org", "name", "title", "enabled", "created")):
        say("there are no apps")


@app.command()
def show(name: Name, org: Org = "default", as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Show one app, with how many tokens it has.

    Exit 3 when there is none. Example: llmcp app show notebook --org research
    """
    from llmcp.control import apps
    from llmcp.wiring import identities as wired

    store = wired.identities()
    found = apps.find_app(store, org, name)
    document = apps.app_document(found) | {"tokens": sum(token.app == name for token in store.tokens(org))}
    emit_document(document, chosen(output, as_json), facts.lines(document))


@app.command("set")
def set_(
    name: Name,
    org: Org = "default",
    title: Annotated[str | None, typer.Option(help="Words for people.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="A disabled app's tokens get 401.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change an app in the store; a running daemon sees it within a second.

    Exit 3 when there is none. Example: llmcp app set notebook --org research --disable
    """
    from llmcp.control import apps, orgs
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    if title is None and enabled is None:
        raise UsageError("nothing to change", fix="give `--title`, `--enable` or `--disable`")
    before, after = apps.set_app(wired.identities(), changes.change(), org, name, title=title, enabled=enabled)
    emit_document(apps.app_document(after), chosen(None, as_json), "")
    say_changed(f"app `{name}` of `{org}`", orgs.differences(before, after))


@app.command()
def remove(name: Name, org: Org = "default", as_json: JsonFlag = False) -> None:
    """Remove an app from the store. Its records stay, under its name.

    Exit 3 when there is none, 6 while it has valid tokens. Example: llmcp app remove notebook --org research
    """
    from llmcp.control import apps
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    found = apps.remove_app(wired.identities(), changes.change(), org, name)
    emit_document(apps.app_document(found), chosen(None, as_json), "")
    say(f"app `{name}` of `{org}` removed; its records stay. Undo with `llmcp app create {name} --org {org}`")
