"""`llmcp serve|status|stop|reload`: the daemon's life."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmcp.cli.render import JsonFlag, OutputOption, chosen, emit_document, say
from llmcp.errors import UnreachableError, UsageError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(status)
    app.command()(stop)
    app.command()(reload)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = "",
    port: Annotated[int, typer.Option(help="The gateway's port; 0 takes any free one.", show_default="8900")] = -1,
    admin_port: Annotated[int, typer.Option(help="The admin listener's port.", show_default="8902")] = -1,
    proxy_port: Annotated[int, typer.Option(help="Not supported in this version.", hidden=True)] = -1,
    policies: Annotated[list[Path] | None, typer.Option(help="A directory of policies (repeatable).", show_default=False)] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready; the log goes to run/llmcp.log.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an address other than loopback without keys and TLS.")
    ] = False,
    log_to_file: Annotated[bool, typer.Option("--log-to-file", hidden=True)] = False,
) -> None:
    """Run the daemon: gateway and admin listener, until SIGTERM or Ctrl-C.

    Open requests finish first (`limits.drain_s`). Exit 2 for wrong settings, 6 when another daemon has this home.
    Example: llmcp serve --port 0 --policies ./policies
    """
    from llmcp import wiring

    if proxy_port != -1:
        raise UsageError(
            "`--proxy-port` is not supported in this version", why="the intercepting proxy is not built yet", code="not-supported"
        )
    raise typer.Exit(
        wiring.serve(
            host=host or None,
            port=None if port < 0 else port,
            admin_port=None if admin_port < 0 else admin_port,
            policies=tuple(policies or ()),
            detach=detach,
            insecure=insecure,
            log_to_file=log_to_file,
        )
    )


def status(
    wait: Annotated[float, typer.Option(help="Wait up to this many seconds for a daemon that is ready.")] = 0.0,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Show the running daemon: addresses, revision, state, and what is wrong with the policies.

    Exit 5 when no daemon answers on this home. Example: llmcp status --json --wait 10
    """
    from llmcp import wiring

    document = wiring.daemon_status(wiring.home(), wait_s=wait)
    if document is None:
        raise UnreachableError("no daemon answers on this home", fix="start one with `llmcp serve`")
    lines = [
        f"{key:9} {document[key]}"
        for key in ("state", "pid", "gateway", "proxy", "admin", "revision", "version")
        if document.get(key)
    ]
    lines.extend(f"problem   {_place(problem)}: {problem['message']}" for problem in document["problems"])
    emit_document(document, chosen(output, as_json), "\n".join(lines))


def _place(problem: dict[str, object]) -> str:
    return f"{problem['file']}:{problem['line']}" if problem.get("line") else str(problem["file"])


def stop(timeout: Annotated[float, typer.Option(help="Seconds to wait for open requests to finish.")] = 40.0) -> None:
    """Stop the daemon after its open requests are finished.

    Exit 5 when none runs. Example: llmcp stop
    """
    from llmcp import wiring

    pid = wiring.stop_daemon(wiring.home(), timeout_s=timeout)
    say(f"stopped the daemon (pid {pid})")


def reload(as_json: JsonFlag = False) -> None:
    """Read policies and settings again at once, without waiting for the watcher.

    Exit 1 when they do not load; the last good revision then stays in force. Example: llmcp reload
    """
    from llmcp import wiring

    document = wiring.reload_daemon(wiring.home())
    text = f"revision {document['revision']} is in force ({document['state']})"
    emit_document(document, chosen(None, as_json), text)
    for problem in document["problems"]:
        say(f"problem   {_place(problem)}: {problem['message']}")
    if document["problems"]:
        raise typer.Exit(1)
