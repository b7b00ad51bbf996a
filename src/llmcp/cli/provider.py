"""`llmcp provider list|test|models`: who can be reached, how, and at what price."""

from __future__ import annotations

from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, emit_document, emit_rows
from llmcp.errors import NotFoundError

app = typer.Typer(
    name="provider", help="Look at the providers that the gateway knows.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(as_json: JsonFlag = False, output: OutputOption = None) -> None:
    """List the providers: gateway path, dialects, where they are, how their credential travels.

    Example: llmcp provider list -o json
    """
    from llmcp import wiring

    form = chosen(output, as_json, Output.TABLE)
    emit_rows(wiring.provider_rows(), form, ("name", "path", "dialects", "auth", "base_url"))


@app.command()
def models(
    provider: Annotated[str, typer.Argument(help="Only this provider's.")] = "",
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """List the models with a known price, in USD per million tokens.

    Any other model passes too, at the default price (`pricing.*`), and its record says so. Exit 3 for an unknown provider.
    Example: llmcp provider models anthropic
    """
    from llmcp import wiring

    known = {row["name"] for row in wiring.provider_rows()}
    if provider and provider not in known:
        raise NotFoundError(f"there is no provider `{provider}`", fix="`llmcp provider list` names them")
    rows = wiring.model_rows(provider)
    emit_rows(rows, chosen(output, as_json, Output.TABLE), ("provider", "model", "input_usd_per_mtok", "output_usd_per_mtok"))


@app.command()
def test(
    provider: Annotated[str, typer.Argument(help="The provider's name.")],
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 10.0,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Ask a provider's host for a sign of life: name, TLS certificate, an HTTP answer. Sends no credential.

    Exit 0 when it answers (with any status), 1 when not, 3 for an unknown provider. Example: llmcp provider test openai
    """
    from llmcp import wiring

    result = wiring.probe_provider(provider, timeout_s=timeout)
    if result is None:
        raise NotFoundError(f"there is no provider `{provider}`", fix="`llmcp provider list` names them")
    emit_document(result, chosen(output, as_json), f"{result['url']}: {result['said']}")
    if not result["reachable"]:
        raise typer.Exit(1)
