"""Writes what is generated into the tree: completions, and the README's lists of commands and settings.

`--check` writes nothing and exits 1 where a file is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import BaseModel

from llmcp.cli.app import app
from llmcp.cli.completion import FILES, script
from llmcp.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


def commands(command: Any, prefix: str) -> Iterator[str]:
    """Yield a table row for each verb below `command`, by the first sentence of its help."""
    for name, child in command.commands.items():
        words = f"{prefix} {name}"
        if hasattr(child, "commands"):
            yield from commands(child, words)
        else:
            yield f"| `{words}` | {(child.help or '').strip().splitlines()[0]} |"


def settings(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield a table row for each setting below `model`."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from settings(annotation, f"{key}.")
        elif key == "providers":
            nested = next(arg for arg in annotation.__args__ if isinstance(arg, type) and issubclass(arg, BaseModel))
            yield from settings(nested, "providers.NAME.")
        else:
            default = field.get_default(call_default_factory=True)
            shown = "none" if default in {"", ()} else str(default).lower() if isinstance(default, bool) else str(default)
            yield f"| `{key}` | {shown} | {field.description or ''} |"


def readme() -> str:
    """Return the README with its generated parts made anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = {
        "commands": ["| command | what it does |", "|---|---|", *commands(typer.main.get_command(app), "llmcp")],
        "settings": ["| setting | default | meaning |", "|---|---|---|", *settings(Settings, "")],
    }
    for name, lines in parts.items():
        start = f"<!-- generated: {name} -->\n"
        before, _, rest = text.partition(start)
        _, end, after = rest.partition("<!-- /generated -->")
        text = f"{before}{start}" + "\n".join(lines) + f"\n{end}{after}"
    return text


def wanted() -> dict[Path, str]:
    """Return every generated file and what it should hold."""
    files = {ROOT / "completions" / name: script(shell) for shell, name in FILES.items()}
    return files | {ROOT / "README.md": readme()}


def main() -> int:
    """Write, or compare with `--check`."""
    stale = [path for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"error: {path.relative_to(ROOT)} is not what `make docs` writes", file=sys.stderr)
        return 1 if stale else 0
    for path, text in wanted().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
