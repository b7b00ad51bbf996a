"""`llmcp org create|list|show|set|remove`: the tenants."""

from __future__ import annotations

from typing import Annotated

import typer

from llmcp.cli import facts
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import UsageError

app = typer.Typer(name="org", help="Manage orgs, the tenants.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The org's name.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A new name: `[a-z0-9][a-z0-9_.-]{0,63}`.")],
    title: Annotated[str, typer.Option(help="Words for people.")] = "",
    time_zone: Annotated[str, typer.Option(help="IANA name; its calendar windows begin by it.")] = "UTC",
    as_json: JsonFlag = False,
) -> None:
    """Create an org in the store.

    Exit 6 where the name is taken. Example: llmcp org create research --time-zone Europe/Berlin
    """
    from llmcp.control import orgs
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    org = orgs.create_org(wired.identities(), changes.change(), name, title=title, time_zone=time_zone)
    emit_document(orgs.org_document(org), chosen(None, as_json), "")
    say(f"org `{name}` created; undo with `llmcp org remove {name}`")


@app.command("list")
def list_(as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """List all orgs by name.

    Example: llmcp org list -o json
    """
    from llmcp.control import orgs
    from llmcp.wiring import identities as wired

    rows = [orgs.org_document(org) for org in wired.identities().orgs()]
    emit_rows(rows, chosen(output, as_json, Output.TABLE), ("name", "title", "time_zone", "enabled", "created"))


@app.command()
def show(name: Name, as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Show one org, with how many apps and tokens it has.

    Exit 3 when there is none. Example: llmcp org show default
    """
    from llmcp.control import orgs
    from llmcp.wiring import identities as wired

    store = wired.identities()
    document = orgs.org_document(orgs.find_org(store, name)) | {
        "apps": [app.name for app in store.apps(name)],
        "tokens": len(store.tokens(name)),
    }
    emit_document(document, chosen(output, as_json), facts.lines(document))


@app.command("set")
def set_(
    name: Name,
    title: Annotated[str | None, typer.Option(help="Words for people.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="A disabled org's tokens get 401.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change an org in the store; a running daemon sees it within a second.

    Exit 3 when there is none, 6 for disabling `default`. Example: llmcp org set research --disable
    """
    from llmcp.control import orgs
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    if title is None and time_zone is None and enabled is None:
        raise UsageError("nothing to change", fix="give `--title`, `--time-zone`, `--enable` or `--disable`")
    before, after = orgs.set_org(
        wired.identities(), changes.change(), name, title=title, time_zone=time_zone, enabled=enabled
    )  # fmt: skip
    emit_document(orgs.org_document(after), chosen(None, as_json), "")
    say_changed(f"org `{name}`", orgs.differences(before, after))


@app.command()
def remove(name: Name, as_json: JsonFlag = False) -> None:
    """Remove an org from the store, with its tokens that have ended. Its records stay, under its name.

    Exit 3 when there is none, 6 for `default` and while it has apps, valid tokens or credentials. Example: llmcp org remove research
    """
    from llmcp.control import orgs
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    org = orgs.remove_org(wired.identities(), changes.change(), name)
    emit_document(orgs.org_document(org), chosen(None, as_json), "")
    zone = f" --time-zone {org.time_zone}" if org.time_zone != "UTC" else ""
    say(
        f"org `{name}` removed; its records stay. Undo with `llmcp org create {name}{zone}`: whoever has that name sees those records"
    )


def say_changed(what: str, changed: dict[str, str]) -> None:
    """Tell what a `set` changed, from what, and so how to undo it."""
    if not changed:
        say(f"{what} is so already; nothing was written")
        return
    say(f"{what} changed: " + ", ".join(f"{field} {words}" for field, words in changed.items()) + "; undo by setting it back")
