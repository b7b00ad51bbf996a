"""A project's `./llmcp.yaml`: read by the CLI only, and only for keys that can do no harm.

Rules:
1. `policies` (directories, relative to the file) and `output` count; a cloned repository must not redirect keys or traffic.
2. Everything else in it is ignored with one note that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmcp.config.document import parse

if TYPE_CHECKING:
    from pathlib import Path

FILE = "llmcp.yaml"
OUTPUTS = frozenset({"text", "json", "jsonl", "csv", "table"})


@dataclass(frozen=True, slots=True)
class Project:
    """What a project may say. `notes` are for standard error."""

    policies: tuple[Path, ...] = ()
    output: str = ""
    notes: tuple[str, ...] = ()


def read(directory: Path, *, home_file: Path) -> Project:
    """Read `llmcp.yaml` in `directory`; absent, or the home's own file, is nothing said. Raises: SettingsError."""
    path = directory / FILE
    if not path.is_file() or path.resolve() == home_file.resolve():
        return Project()
    values = parse(path.read_text(encoding="utf-8", errors="replace"), str(path)).values
    policies = _policies(values.get("policies"), directory)
    output = values.get("output")
    ignored = [key for key in values if key not in {"policies", "output"}]
    if "policies" in values and policies is None:
        ignored.append("policies")
    if "output" in values and output not in OUTPUTS:
        ignored.append("output")
    notes = (
        (f"note: {path}: ignored {', '.join(f'`{k}`' for k in ignored)}: a project sets only `policies` and `output`",)
        if ignored
        else ()
    )
    return Project(policies or (), output if output in OUTPUTS else "", notes)


def _policies(value: Any, directory: Path) -> tuple[Path, ...] | None:  # noqa: ANN401 - YAML has any value
    """Read a path, a list of paths, or `{paths: [...]}` as the home's settings have it."""
    if isinstance(value, dict):
        value = value.get("paths")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(directory / item for item in value)
