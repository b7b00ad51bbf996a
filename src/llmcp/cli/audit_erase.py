"""`llmcp audit erase`: make the records forget who a person was."""

from __future__ import annotations

from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, Output, chosen, emit_document, say


def register(app: typer.Typer) -> None:
    """Add the verb to `llmcp audit`."""
    app.command()(erase)


def erase(
    person: Annotated[str, typer.Argument(help="A user, a client's address or an operator, as records show them.")],
    org: Annotated[str, typer.Option(help="Only in this org; without it in all.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Forget who a person was. Records and their tree stay and show a reference that names nobody.

    Writes the store and one control record; cannot be undone. Backups and exports keep what they have. Exit 3 when no record names the person.

    Example: llmcp audit erase ada@example.org --org acme
    """
    from llmcp import wiring
    from llmcp.control import persons
    from llmcp.wiring.changes import change

    with wiring.store() as log:
        erased = persons.erase(log, change(), person=person, org=org)
    count = len(erased.references)
    emit_document({"references": list(erased.references)}, chosen(None, as_json, Output.TEXT), "\n".join(erased.references))
    say(f"erased: {count} {'reference names' if count == 1 else 'references name'} nobody now; this cannot be undone")
    say(
        "backups and exports made before still hold the name, and so does a token for it that is still valid (`llmcp token list`)"
    )
    if not erased.overwritten:
        say("somebody is reading the store: the old bytes leave its write-ahead log when it is next folded")
