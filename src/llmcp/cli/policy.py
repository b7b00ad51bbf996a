"""`llmcp policy check|list|show|eval`: policies as files, before and beside the daemon."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows, say
from llmcp.errors import NegativeResultError, NotFoundError, UsageError

app = typer.Typer(name="policy", help="Check, list and try policies.", no_args_is_help=True, rich_markup_mode=None)

Policies = Annotated[
    list[Path] | None,
    typer.Option("--policies", help="A directory of policies (repeatable); default: the home's.", show_default=False),
]


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or directories; default: the home's policies.", show_default=False)
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Check policy files as the daemon reads them; report every problem with file, line, column, code and hint.

    Exit 1 when there is an error; warnings alone exit 0. Example: llmcp policy check policies/ -o json
    """
    from llmcp import wiring
    from llmcp.control import policies as control
    from llmcp.control import policy_render

    form = control.check_output("json" if as_json else output or "text")
    loaded = wiring.load_policies(tuple(paths or ()))
    if form == "json":
        print(json.dumps(policy_render.problems_json(loaded.problems), indent=2, ensure_ascii=False))
    elif loaded.problems:
        print(policy_render.problems_text(loaded.problems, loaded.texts), end="")
    else:
        say(f"{len(loaded.files)} files, {len(loaded.policies)} policies, no problems")
    if not loaded.ok:
        raise typer.Exit(1)


@app.command("list")
def list_(policies: Policies = None, as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """List the policies: name, mode, how many rules, where they stand.

    Exit 1 when the files do not load. Example: llmcp policy list --json
    """
    from llmcp.control import policies as control

    rows = control.summarise(_load(policies).policies)
    form = chosen(output, as_json, Output.TABLE)
    if emit_rows(rows, form, ("name", "mode", "rules", "exceptions", "tests", "title", "file")) == 0 and form is Output.TABLE:
        say("no policies; `llmcp init` writes a first one")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The policy's name.")],
    policies: Policies = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Show one policy as llmcp understood it, every default filled in.

    Exit 3 when there is none of that name. Example: llmcp policy show starter
    """
    from llmcp.control import policies as control

    document = control.show(_load(policies).policies, name)
    emit_document(document, chosen(output, as_json), json.dumps(document, indent=2, ensure_ascii=False))


@app.command("eval")
def eval_(
    source: Annotated[str, typer.Option("--input", help="A JSON file that describes the exchange; `-` reads standard input.")],
    policies: Policies = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Ask the policies about one exchange, described as JSON: request, response, subject, client, now.

    What is absent takes its neutral value. Exit 0 when allowed, 1 when denied.
    Example: echo '{"request": {"model": "gpt-4o"}}' | llmcp policy eval --input -
    """
    from llmcp import wiring
    from llmcp.control import policies as control

    document = _read_json(source)
    answer = control.evaluate(wiring.policy_program(_load(policies)), document, wiring.now())
    emit_document(answer, chosen(output, as_json), _told(answer))
    if answer["verdict"] != "allow":
        raise typer.Exit(1)


def _load(policies: list[Path] | None) -> Any:  # noqa: ANN401 - the control plane's type is not imported before a verb runs
    from llmcp import wiring
    from llmcp.control import policy_render

    loaded = wiring.load_policies(tuple(policies or ()))
    if not loaded.ok:
        say(policy_render.problems_text(loaded.problems, loaded.texts).rstrip())
        raise NegativeResultError("the policies do not load", fix="`llmcp policy check` says why", code="policies")
    return loaded


def _read_json(source: str) -> object:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{source}`", fix="name a JSON file, or `-` for standard input") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`{source}` cannot be read", why=getattr(error, "strerror", None) or "it is not UTF-8 text") from None
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"`{source}` is not JSON", why=str(error), fix="see `llmcp policy eval --help` for the form") from None


def _told(answer: dict[str, Any]) -> str:
    lines = [answer["verdict"] + (f": {answer['message']}" if answer["message"] else "")]
    lines += [f"  {rule['policy']}/{rule['id']} ({rule['effect']}, {rule['mode']})" for rule in answer["rules"]]
    lines += [f"  obligation: {json.dumps(duty, ensure_ascii=False)}" for duty in answer["obligations"]]
    lines += [f"  did not run: {fault['policy']}/{fault['id']}: {fault['why']}" for fault in answer.get("faults", ())]
    return "\n".join(lines)
