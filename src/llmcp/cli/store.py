"""`llmcp store backup|restore|migrate`: the store as a whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, say
from llmcp.errors import UsageError

app = typer.Typer(
    name="store", help="Back up, restore and migrate the store.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.command()
def backup(
    path: Annotated[
        Path | None, typer.Argument(help="A file, or a directory to put it in.", show_default="beside the store")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Write the store to one verified file, while the daemon goes on.

    The file is 0600 and holds no provider secret in clear. Exit 3 without a store, 5 when it is damaged or there is no room,
    6 when the file is there already. Example: llmcp store backup /var/backups/llmcp.db
    """
    from dataclasses import asdict

    from llmcp.wiring import keeping

    form = _form(output, as_json)
    made = keeping.backup(path, replace=force, progress=_progress if sys.stderr.isatty() else None)
    text = f"{made.path}  {made.bytes:,} bytes, {made.records:,} records, {made.control_records:,} control records, schema {made.schema}"
    emit_document(asdict(made), form, text)
    say(f"put it back with: llmcp store restore {made.path}")


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="A file that `llmcp store backup` wrote.")],
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Put a backup in the place of the store, after checking it whole; the store before is set aside.

    Everything since the backup is undone: records, and also revocations and changed rights. Exit 3 without that file, 5 when it
    is damaged, 6 while a daemon runs or when it is a newer or another program's. Example: llmcp store restore llmcp.db.bak
    """
    from dataclasses import asdict

    from llmcp.wiring import keeping

    form = _form(output, as_json)
    done = keeping.restore(path)
    document = {**asdict(done.facts), "set_aside": done.set_aside, "from_schema": done.from_schema}
    text = f"{done.facts.path}  {done.facts.records:,} records, schema {done.facts.schema}"
    emit_document(document, form, text)
    if done.from_schema != done.facts.schema:
        say(f"upgraded from schema {done.from_schema}; the backup itself is unchanged")
    if done.before is not None:
        records = max(done.before.records - done.facts.records, 0)
        changes = max(done.before.control_records - done.facts.control_records + 1, 0)
        say(f"not in it: {records:,} records and {changes:,} changes that the store before has")
    say("note: what was changed since the backup is undone: a token that was revoked since then is valid again")
    say("note: checkpoints outside (anchors) that are newer than the backup no longer match this store")
    if done.set_aside:
        say(f"undo: llmcp store restore {done.set_aside}")


@app.command()
def migrate(
    to: Annotated[int | None, typer.Option("--to", min=1, help="The schema to lead it to.", show_default="the newest")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to lose what an older schema cannot hold.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no backup before.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Lead the store to another schema, up or down, all or nothing, after a verified backup beside it.

    Opening an older store upgrades it too; this is for going back, and for doing it at a time of your own. Exit 2 when something
    would be lost without `--yes`, 5 when it is damaged or there is no room, 6 while a daemon runs. Example: llmcp store migrate --to 1 --yes
    """
    from llmcp.wiring import keeping

    form = _form(output, as_json)
    planned = keeping.plan_migration(to)
    document = {"before": planned.before, "after": planned.after, "lost": list(planned.lost), "backup": "", "done": False}
    if dry_run or planned.before == planned.after:
        _tell_lost(planned.lost, form)
        what = "is" if planned.before == planned.after else f"would go from schema {planned.before} to"
        emit_document(document, form, f"the store {what}{' at schema' if what == 'is' else ''} {planned.after}")
        return
    done = keeping.migrate(planned, agreed=yes, keep=not no_backup)
    _tell_lost(done.lost, form)
    document |= {"backup": done.backup, "done": True}
    emit_document(document, form, f"the store went from schema {done.before} to {done.after}")
    if done.backup:
        say(f"undo: llmcp store restore {done.backup}")
    if done.after < done.before:
        say("note: this version of llmcp upgrades it again at the next opening; go on with the older one")


def _form(output: Output | None, as_json: bool) -> Output:
    """Return the form, refused before anything is done where it cannot be written."""
    form = chosen(output, as_json)
    if form is Output.CSV:
        raise UsageError("`-o csv` has no meaning here", fix="use `-o json` or `-o text`")
    return form


def _tell_lost(lost: tuple[str, ...], form: Output) -> None:
    if form is Output.TEXT:
        for what in lost:
            say(f"lost: {what}")


def _progress(done: int, total: int) -> None:
    end = "\n" if done >= total else ""
    print(f"\rcopying … {100 * done // max(total, 1)} %", end=end, file=sys.stderr, flush=True)
