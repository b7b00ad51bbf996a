"""The command line's root: which nouns there are, and the one boundary where errors become exit codes.

Rules:
1. A noun's module imports only typer and its neighbours when it is loaded; what it works with is imported when it runs.
2. A verb of the contract that this version does not have is refused by name, never "no such command".
3. Exit codes are CONTRACT section 3's, the same for every output form; 70 is a bug in llmcp.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer._completion_classes import completion_init
from typer.core import TyperGroup

from llmcp.cli import (
    app_noun,
    audit,
    audit_erase,
    audit_export,
    audit_ledger,
    completion,
    config,
    daemon,
    demo,
    doctor,
    env,
    init,
    key,
    org,
    policy,
    provider,
    store,
    token,
    usage,
    version,
)
from llmcp.cli.render import report, say
from llmcp.errors import LlmcpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_BUILT: dict[str, frozenset[str]] = {
    "": frozenset(
        (
            "run", "ci", "top", "explain", "trust", "kill", "uninstall", "service", "flag", "limits",
            "inspect", "registry", "ca", "change",
        )
    ),
    "policy": frozenset(("new", "fmt", "test", "explain", "diff", "backtest", "schema", "doc", "history", "rollback", "shadow", "conformance")),
    "audit": frozenset(("bypass",)),
    "provider": frozenset(),
    "config": frozenset(("history", "rollback")),
}  # fmt: skip


class Group(TyperGroup):
    """A group that knows the names it does not serve yet."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - typer's own vendored types
        """Return the command that `args` names. Raises: UsageError for a name of a later version."""
        name = args[0] if args else ""
        noun = "" if ctx.parent is None else str(ctx.info_name)
        if name in NOT_BUILT.get(noun, ()):
            raise UsageError(
                f"`llmcp {f'{noun} {name}'.strip()}` is not supported in this version",
                fix="`llmcp --help` lists what there is",
                code="not-supported",
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="llmcp",
    cls=Group,
    help="An LLM control plane that runs where your code runs.",
    epilog="Exit codes: 0 fine, 1 negative result, 2 usage or settings, 3 not found, 4 not permitted, 5 unreachable, 6 conflict, 70 a bug.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (init, daemon, doctor, env, demo, usage, completion, version):
    module.register(app)
for verbs in (audit_erase, audit_export, audit_ledger):
    verbs.register(audit.app)
for noun in (policy, audit, provider, org, app_noun, token, key, store, config):
    app.add_typer(noun.app, cls=Group)


def run(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code. Never raises."""
    as_json = wants_json(argv)
    completion_init()  # what typer does itself only where it adds options of its own for completion
    try:
        result = typer.main.get_command(app).main(args=list(argv), prog_name="llmcp", standalone_mode=False)
        sys.stdout.flush()
    except LlmcpError as error:
        report(error, as_json=as_json)
        return error.exit_code
    except typer.exceptions.TyperException as error:
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError" and not as_json:  # typer does not export it
            say(error.format_message())
            return UsageError.exit_code
        known = context.command_path if context is not None else "llmcp"
        # What is too much on a line may be the key itself (`key set openai KEY`).
        said = error.format_message()
        what = said.partition(" (")[0] if said.startswith("Got unexpected extra") else said
        report(UsageError(what, fix=f"`{known} --help` shows what it takes"), as_json=as_json)
        return UsageError.exit_code
    except (typer.Abort, KeyboardInterrupt):
        if sys.stderr.isatty():
            say("")  # the shell's prompt begins a line of its own
        return 130
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as end:
        # Typer's own ways out: completion was answered, or it noticed the broken pipe first and guarded the stream.
        return _reader_gone() if type(sys.stdout).__name__ == "PacifyFlushWrapper" else int(end.code or 0)
    except UnicodeEncodeError as error:
        if all(word.isascii() or _is_text(word) for word in argv):
            return _bug(error, as_json=as_json)
        report(
            UsageError("an argument is not UTF-8", why="some of its bytes are no characters", fix="write it anew"),
            as_json=as_json,
        )
        return UsageError.exit_code
    except Exception as error:  # noqa: BLE001 - boundary: a bug gets its own exit code, and no traceback with values in it
        return _bug(error, as_json=as_json)
    return result if isinstance(result, int) else 0


def _is_text(word: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in word)


def _reader_gone() -> int:
    """End quietly: the reader has seen enough (`llmcp audit query | head`). The interpreter must not complain at its exit."""
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the end
    os.dup2(sys.stdout.fileno(), 1)
    return 0


def _bug(error: Exception, *, as_json: bool) -> int:
    from llmcp.config.environment import debugging

    if debugging():
        import traceback

        say("".join(traceback.format_exception(error)))
    report(
        LlmcpError(
            "llmcp failed in a way it should not",
            why=f"{type(error).__name__} in {_where(error)}",
            fix="run it again with `LLMCP_LOG_LEVEL=debug` and report what it says",
        ),
        as_json=as_json,
    )
    return LlmcpError.exit_code


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}" if trace is not None else "an unknown place"


def wants_json(argv: Sequence[str]) -> bool:
    """Tell whether errors should be JSON too."""
    if "--json" in argv or "-ojson" in argv or "--output=json" in argv:
        return True
    return any(flag in {"-o", "--output"} and value in {"json", "jsonl"} for flag, value in itertools.pairwise(argv))
