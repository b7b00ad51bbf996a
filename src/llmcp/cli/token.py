"""`llmcp token create|list|show|revoke|rotate`: virtual keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli import facts
from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.control.tokens import Issued

app = typer.Typer(name="token", help="Manage tokens, the virtual keys.", no_args_is_help=True, rich_markup_mode=None)

_COLUMNS = ("id", "state", "org", "app", "user", "groups", "labels", "providers", "models", "created", "expires")
_CSV = (*_COLUMNS, "prefix", "revoked", "replaced_by")
_STATES = ("valid", "expired", "revoked", "disabled")

Spelt = Annotated[str, typer.Argument(metavar="ID", help="The token's id (`tok_…`), or its prefix (`llmcp_…`).")]


@app.command()
def create(
    org: Annotated[str, typer.Option(help="The org that it belongs to.")] = "default",
    app_name: Annotated[str, typer.Option("--app", help="The app of that org.")] = "",
    user: Annotated[str, typer.Option(help="Who it is for: any name or address.")] = "",
    groups: Annotated[list[str] | None, typer.Option(help="Groups, separated by commas.", show_default=False)] = None,
    labels: Annotated[list[str] | None, typer.Option(help="`k=v`, separated by commas; at most 16.", show_default=False)] = None,
    expires: Annotated[str, typer.Option(help="`30d`, `12h`, an RFC 3339 time, or `never`.")] = "90d",
    providers: Annotated[list[str] | None, typer.Option(help="Globs; none: all providers.", show_default=False)] = None,
    models: Annotated[list[str] | None, typer.Option(help="Globs; none: all models.", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create a token and write its key to standard output: the only time that it is shown. The store keeps a keyed hash.

    Exit 3 where org or app is not there. Example: llmcp token create --org research --app notebook --models 'gpt-4o*'
    """
    from llmcp.control import token_words, tokens
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    change = changes.change()
    wish = tokens.TokenWish(
        org=org,
        app=app_name,
        user=token_words.checked_user(user),
        groups=token_words.parse_groups(groups or ()),
        labels=token_words.parse_labels(labels or ()),
        providers=token_words.parse_providers(providers or (), wired.known_providers() if providers else ()),
        models=token_words.parse_models(models or ()),
        expires=token_words.parse_end(expires, change.now),
    )
    store = wired.identities()
    tokens.owners(store, wish.org, wish.app)  # what is not there is said before a first pepper is made
    issued = tokens.create_token(
        store, change, wish, pepper=wired.pepper_for_new(store, change.time), random_bytes=wired.random_bytes(tokens.RANDOM_BYTES)
    )
    _hand_over(issued, issued.document(), as_json=as_json)


@app.command("list")
def list_(
    org: Annotated[str | None, typer.Option(help="Only this org's.")] = None,
    app_name: Annotated[str | None, typer.Option("--app", help="Only this app's.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    state: Annotated[str | None, typer.Option(help="valid, expired, revoked or disabled (its org or app is).")] = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List tokens, oldest first: what they are for and whether they are valid, never their keys.

    Exit 3 where the org is not there. Example: llmcp token list --org research --state valid
    """
    from llmcp import wiring
    from llmcp.control import tokens
    from llmcp.core.records import timestamp
    from llmcp.wiring import identities as wired

    if state not in {None, *_STATES}:
        raise UsageError(f"there is no state `{state}`", fix=f"give one of {', '.join(_STATES)}")
    rows = tokens.list_tokens(wired.identities(), timestamp(wiring.now()), org=org, app=app_name, user=user, state=state)
    form = chosen(output, as_json, Output.TABLE)
    if form not in {Output.JSON, Output.JSONL}:
        rows = [row | {"labels": [f"{key}={value}" for key, value in row["labels"].items()]} for row in rows]
    if not emit_rows(rows, form, _CSV if form is Output.CSV else _COLUMNS):
        say("no token matches")


@app.command()
def show(spelt: Spelt, as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """Show one token: what it is for, its scope, its state. Its key cannot be shown again.

    Exit 3 when there is none. Example: llmcp token show tok_5sOBQmUvd4j
    """
    from llmcp import wiring
    from llmcp.control import tokens
    from llmcp.core.records import timestamp
    from llmcp.wiring import identities as wired

    document = tokens.show_token(wired.identities(), spelt, timestamp(wiring.now()))
    emit_document(document, chosen(output, as_json), facts.lines(document))


@app.command()
def revoke(spelt: Spelt, as_json: JsonFlag = False) -> None:
    """Revoke a token in the store, for good; a running daemon refuses it within a second.

    Exit 3 when there is none; 0 where it was revoked before. Example: llmcp token revoke tok_5sOBQmUvd4j
    """
    from llmcp.control import tokens
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    change = changes.change()
    token, done = tokens.revoke_token(wired.identities(), change, spelt)
    emit_document(tokens.token_document(token, tokens.state_of(token, change.time)), chosen(None, as_json), "")
    if done:
        say(f"token `{token.id}` revoked; this cannot be undone, make a new one with `llmcp token create`")
    else:
        say(f"token `{token.id}` was revoked at {token.revoked} already; nothing was written")


@app.command()
def rotate(
    spelt: Spelt,
    grace: Annotated[str, typer.Option(help="How long the old one stays valid: `1h`, `7d`; `0` ends it at once.")] = "0",
    expires: Annotated[
        str | None, typer.Option(help="The new one's end; otherwise it lives as long as the old one was to.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create a token that is for the same as another, write its key to standard output, and let the other end.

    Exit 3 when there is none, 6 where it has ended or was rotated before. Example: llmcp token rotate tok_5sOBQmUvd4j --grace 1h
    """
    from llmcp.control import token_words, tokens
    from llmcp.wiring import changes
    from llmcp.wiring import identities as wired

    change = changes.change()
    store = wired.identities()
    old, issued = tokens.rotate_token(
        store,
        change,
        tokens.find_token(store, spelt).id,
        ends=token_words.parse_grace(grace, change.now),
        expires=None if expires is None else token_words.parse_end(expires, change.now),
        pepper=wired.pepper_for_new(store, change.time),
        random_bytes=wired.random_bytes(tokens.RANDOM_BYTES),
    )
    _hand_over(issued, issued.document() | {"replaces": old.id}, as_json=as_json)
    ended = "is revoked" if old.revoked else f"ends {old.expires}"
    say(f"the old token `{old.id}` {ended}")


def _hand_over(issued: Issued, document: dict[str, Any], *, as_json: bool) -> None:
    """Write the key to standard output, alone or in its document, and everything else beside it."""
    token = issued.token
    emit_document(document, chosen(None, as_json), issued.key)
    whose = (
        f"org `{token.org}`" + (f", app `{token.app}`" if token.app else "") + (f", user `{token.user}`" if token.user else "")
    )
    say(f"token `{token.id}` created for {whose}; {f'ends {token.expires}' if token.expires else 'never ends'}")
    if issued.state != "valid":
        say("warning: its org or app is disabled, so it gets 401 until that is enabled")
    say(f"its key is shown this once; undo with `llmcp token revoke {token.id}`")
