"""`llmcp key set|list|rotate|remove|test`: provider credentials. A secret is never an option's value, and never written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import UsageError

if TYPE_CHECKING:
    from llmcp.core.credentials import CredentialEntry

app = typer.Typer(name="key", help="Manage provider credentials.", no_args_is_help=True, rich_markup_mode=None)

_COLUMNS = ("id", "provider", "org", "label", "source", "weight", "resources", "hint", "created", "rotated")
_CHECKED = ("id", "provider", "org", "label", "place", "state", "said")
_STDIN_CHARS = 65536
_VARIABLE_CHARS = 40

Which = Annotated[str, typer.Argument(metavar="ID|PROVIDER", help="The id (`cred_…`), or a provider that has one credential.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the secret from standard input.")]
FromEnv = Annotated[str, typer.Option("--from-env", metavar="NAME", help="Take the secret from this variable.")]
Force = Annotated[bool, typer.Option("--force", help="Take a key that looks like another provider's.")]


@app.command("set")
def set_(
    provider: Annotated[str, typer.Argument(help="The provider's name, as in `llmcp provider list`.")],
    org: Annotated[str, typer.Option(help="Only for this org; none: for every org without its own.")] = "",
    label: Annotated[str, typer.Option(help="Tells several of one provider apart.")] = "",
    weight: Annotated[int, typer.Option(help="Its share among several; 0 keeps it unused.")] = 1,
    resource: Annotated[list[str] | None, typer.Option(help="A resource that it may go to (Azure); repeatable.")] = None,
    source: Annotated[str, typer.Option(help="`stored`, `env:NAME` or `aws:SECRET_ID[#KEY]`.")] = "stored",
    stdin: Stdin = False,
    from_env: FromEnv = "",
    force: Force = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a provider's key in the OS keychain or the encrypted file. Asks for it, unless `--stdin` or `--from-env` says where it is.

    Setting the same provider, org and label again replaces it. Writes the entry to the store, never the key. Exit 2 for what
    cannot be a key, 3 for an unknown provider or org. Example: llmcp key set openai --from-env OPENAI_API_KEY
    """
    from llmcp import wiring
    from llmcp.control import credentials
    from llmcp.wiring import changes
    from llmcp.wiring import credentials as wired

    home = wiring.home()
    settings = wiring.load_settings(home)
    keys = wired.open_keys(home, settings, say)
    wanted = wired.wants(
        settings, credentials.Wanted(provider, org, label, source, weight, tuple(resource or ()), force=force)
    )  # fmt: skip
    credentials.check_wanted(keys, wanted)
    stored = source == "stored"
    if not stored and (stdin or from_env):
        raise UsageError("`--source` says where the key is", fix="leave out `--stdin` and `--from-env`")
    secret = _secret(f"Key for {wanted.provider}", stdin=stdin, from_env=from_env) if stored else ""
    entry, replaced = credentials.set_key(keys, wanted, secret, changes.change(), wired.fresh_id())
    _emit(entry, as_json=as_json)
    where = f"in the {_place(keys.secrets.kind)}" if stored else f"read from `{source}` by whoever uses it"
    say(f"{entry.provider} credential `{entry.id}` {'replaced' if replaced else 'set'}; its secret is {where}")
    if source.startswith("env:"):
        say(f"`{source[4:]}` must be set where `llmcp serve` is started")
    say(f"a running daemon takes it up within a second; try it with `llmcp key test {entry.id}`")
    say("undo: set the old key again; it is not kept" if replaced else f"undo: `llmcp key remove {entry.id}`")


@app.command("list")
def list_(
    provider: Annotated[str, typer.Argument(help="Only this provider's.")] = "",
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List the credentials: for whom, from where, with which weight. Of a secret at most its last four characters.

    Exit 3 where the provider has none. Example: llmcp key list --json
    """
    from llmcp import wiring
    from llmcp.control import credentials
    from llmcp.wiring import credentials as wired

    home = wiring.home()
    keys = wired.open_keys(home, wiring.load_settings(home), say)
    rows = [credentials.key_document(entry) for entry in credentials.find_keys(keys, provider)]
    if not emit_rows(rows, chosen(output, as_json, Output.TABLE), _COLUMNS) and not as_json:
        say("no credential is set; `llmcp key set PROVIDER` adds one")


@app.command()
def rotate(
    which: Annotated[str, typer.Argument(metavar="[ID|PROVIDER]", help="The credential that gets a new secret.")] = "",
    master: Annotated[bool, typer.Option("--master", help="Seal the encrypted file anew under a new master key.")] = False,
    stdin: Stdin = False,
    from_env: FromEnv = "",
    force: Force = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a new secret in the place of a credential's old one; or, with `--master`, a new master key in the place of the old one.

    `--master` opens everything again from the new file, and compares, before the old key goes. Where `LLMCP_MASTER_KEY` is set,
    the new one is taken from `--stdin` or `--from-env`. Exit 3 when there is no such credential.
    Example: llmcp key rotate openai --stdin < new-key.txt
    """
    from llmcp import wiring
    from llmcp.control import credentials
    from llmcp.wiring import changes
    from llmcp.wiring import credentials as wired

    home = wiring.home()
    settings = wiring.load_settings(home)
    if master:
        if which:
            raise UsageError("`--master` is about all secrets", fix="leave the credential out")
        new = _secret("New master key", stdin=stdin, from_env=from_env) if stdin or from_env else ""
        home.create()
        count = wired.rotate_master(home, settings, new.strip(), changes.change(), say)
        emit_document({"entries": count}, chosen(None, as_json), "")
        say(
            f"{count} secrets are sealed under the new master key, and were opened with it to prove it; the old key opens nothing"
        )
        say(
            "from now on set `LLMCP_MASTER_KEY` to the new key; restart the daemon with it"
            if new
            else "nothing else is to be done"
        )
        return
    if not which:
        raise UsageError("say which credential, or `--master`", fix="`llmcp key list` names them")
    keys = wired.open_keys(home, settings, say)
    entry = credentials.find_key(keys, which)
    secret = _secret(f"New key for {entry.provider}", stdin=stdin, from_env=from_env) if entry.source == "stored" else ""
    entry = credentials.rotate_key(keys, entry, secret, changes.change(), force=force)
    _emit(entry, as_json=as_json)
    say(f"{entry.provider} credential `{entry.id}` has a new secret; a running daemon takes it up within a second")
    say(f"try it with `llmcp key test {entry.id}`, then revoke the old key at {entry.provider}; undo: rotate again")


@app.command()
def remove(which: Which, as_json: JsonFlag = False) -> None:
    """Remove a credential and its secret. The key stays valid at the provider until it is revoked there.

    Exit 3 when there is none. Example: llmcp key remove cred_k3v7p2q4w5x6
    """
    from llmcp import wiring
    from llmcp.control import credentials
    from llmcp.wiring import changes
    from llmcp.wiring import credentials as wired

    home = wiring.home()
    keys = wired.open_keys(home, wiring.load_settings(home), say)
    entry = credentials.find_key(keys, which)
    credentials.remove_key(keys, entry, changes.change())
    _emit(entry, as_json=as_json)
    say(f"{entry.provider} credential `{entry.id}` removed; a running daemon drops it within a second")
    say(f"undo: `llmcp key set {entry.provider}` with the same key")


@app.command()
def test(
    which: Annotated[str, typer.Argument(metavar="[ID|PROVIDER]", help="Only these; none: all.")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 10.0,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Make each provider's cheapest authenticated call with its stored key, at the configured address, and say what came of it.

    Costs nothing. Exit 0 when all can be used, 1 when one cannot, 3 when there is none. Example: llmcp key test openai
    """
    from llmcp import wiring
    from llmcp.control import credentials
    from llmcp.wiring import credentials as wired

    home = wiring.home()
    settings = wiring.load_settings(home)
    keys = wired.open_keys(home, settings, say)
    rows = list(wired.check_keys(settings, keys, credentials.find_keys(keys, which), wiring.now(), timeout_s=timeout))
    form = chosen(output, as_json)
    if form is Output.TEXT:
        for row in rows:
            print(_line(row))
    else:
        emit_rows(rows, form, _CHECKED)
    if not rows:
        say("no credential is set; `llmcp key set PROVIDER` adds one")
    if not all(row["usable"] for row in rows):
        raise typer.Exit(1)


def _secret(prompt: str, *, stdin: bool, from_env: str) -> str:
    """Return the secret from where the options say. Raises: UsageError where there is none, or nobody to ask."""
    from llmcp.wiring import credentials as wired

    if stdin and from_env:
        raise UsageError("`--stdin` and `--from-env` contradict each other", fix="give one of them")
    if stdin:
        return sys.stdin.read(_STDIN_CHARS)
    if from_env:
        found = wired.variable(from_env)
        if found is None:
            named = (
                f" `{from_env}`" if from_env.isidentifier() and from_env.isupper() and len(from_env) <= _VARIABLE_CHARS else ""
            )  # else it may be the key itself
            raise UsageError(f"the variable{named} is not set", fix="export it, or use `--stdin`", code="no-variable")
        return found
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for the key on",
            why="standard input is not one",
            fix="use `--stdin` or `--from-env NAME`",
        )
    from getpass import getpass

    return getpass(f"{prompt} (not shown): ", stream=sys.stderr)


def _emit(entry: CredentialEntry, *, as_json: bool) -> None:
    from llmcp.control.credentials import key_document

    emit_document(key_document(entry), chosen(None, as_json), entry.id)


def _place(kind: str) -> str:
    return "OS keychain" if kind == "keychain" else "encrypted file `credentials.enc`"


def _line(row: dict[str, Any]) -> str:
    name = f"{row['provider']}{f' ({row["label"]})' if row['label'] else ''}{f' for {row["org"]}' if row['org'] else ''}"
    text = "  ".join(part for part in (row["id"], name, row["place"], row["said"]) if part)
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
