"""Writes what is generated into the tree: completions, and the parts of README and docs that follow from the code.

Rules:
1. A part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`; the rest of a file is never touched.
2. Names, types, values and codes come from the code; sentences from the code where it has them, else from `meanings`.
3. `--check` writes nothing and exits 1 where a file is not what would be written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import meanings
import msgspec
import typer
from pydantic import BaseModel

from llmcp.cli.app import NOT_BUILT, app
from llmcp.cli.completion import FILES, script
from llmcp.conditions.variables import ALL_LABELS, UNBUILT, VARIABLES
from llmcp.control.audit import COLUMNS
from llmcp.core.control_records import ControlRecord
from llmcp.core.ledger import Kind
from llmcp.core.messages import Operation
from llmcp.core.pricing import PriceSource
from llmcp.core.records import DecisionRecord, Outcome, UsageSource
from llmcp.core.settings import Settings
from llmcp.effects import UNBUILT as UNBUILT_EFFECTS
from llmcp.policyfile.codes import CODES
from llmcp.ports import REFUSAL_STATUS

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
            yield f"| `{key}` | {shown} | {field.description or meanings.SETTINGS[key]} |"


def record_fields(model: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and type of each field of a record; the items of a list have `[]` in their path."""
    for field in msgspec.structs.fields(model):
        path, of = f"{prefix}{field.name}", field.type
        inner = get_args(of)[0] if get_origin(of) is tuple else of
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from record_fields(inner, f"{path}[]." if inner is not of else f"{path}.")
        else:
            yield path, _type_name(of)


def _type_name(of: Any) -> str:
    names = {int: "integer", str: "text", bool: "boolean"}
    if get_origin(of) is tuple:
        return f"list of {names[get_args(of)[0]]}"
    return "map of text" if get_origin(of) in {dict, Mapping} else names[of]


def variables() -> Iterator[str]:
    """Yield a table row for each variable of conditions."""
    for name, variable in VARIABLES.items():
        if name != ALL_LABELS:
            meaning, neutral = meanings.VARIABLES[name]
            yield f"| `{name}` | {variable.type} | {meaning} | {neutral} |"


def unbuilt() -> Iterator[str]:
    """Yield a table row for everything of the policy language that is refused by name."""
    for name, instead in UNBUILT_EFFECTS.items():
        yield f"| effect `{name}` | P109 | {instead} |"
    for name, why in UNBUILT.items():
        yield f"| variables `{name}` | P204 | {why} |"
    for name in ("rollout", "detectors"):
        yield f"| key `spec.{name}` | P109 | |"
    yield "| `record: {bodies: redacted}` | P109 | `full` keeps whole bodies, encrypted; `none` keeps none |"


def not_built() -> Iterator[str]:
    """Yield a line for each group of verbs that are refused by name."""
    for noun, verbs in NOT_BUILT.items():
        if verbs:
            yield f"- `llmcp {noun}`: ".replace(" `: ", "`: ") + ", ".join(f"`{verb}`" for verb in sorted(verbs))


def _table(head: str, rows: Iterator[str] | list[str]) -> list[str]:
    return [head, re.sub(r"[^|]+", "---", head), *rows]


def _meant(said: Mapping[str, str], names: Iterator[str] | type) -> list[str]:
    return _table("| value | meaning |", [f"| `{name}` | {said[name]} |" for name in map(str, names)])


def parts() -> dict[str, dict[str, list[str]]]:
    """Return every file that has generated parts, and the lines of each part by name."""
    rows = [f"| `{path}` | {kind} | {meanings.RECORD[path]} |" for path, kind in record_fields(DecisionRecord)]
    control = [f"| `{path}` | {kind} | {meanings.CONTROL[path]} |" for path, kind in record_fields(ControlRecord)]
    refusals = [f"| {status} | `{kind}` | {meanings.REFUSALS[kind]} |" for kind, status in REFUSAL_STATUS.items()]
    codes = [f"| `{code.code}` | {code.title} | {code.text} | {code.hint} |" for code in CODES.values()]
    return {
        "README.md": {
            "commands": _table("| command | what it does |", commands(typer.main.get_command(app), "llmcp")),
            "settings": _table("| setting | default | meaning |", settings(Settings, "")),
        },
        "docs/policies.md": {
            "operations": [", ".join(f"`{operation}`" for operation in Operation)],
            "variables": _table("| variable | type | meaning | when nobody says |", variables()),
            "unbuilt": _table("| what | code | instead |", unbuilt()),
            "codes": _table("| code | title | meaning | hint |", codes),
        },
        "docs/records.md": {
            "fields": _table("| field | type | meaning |", rows),
            "outcomes": _meant(meanings.OUTCOMES, Outcome),
            "usage-sources": _meant(meanings.USAGE_SOURCES, UsageSource),
            "price-sources": _meant(meanings.PRICE_SOURCES, PriceSource),
            "columns": [", ".join(f"`{column}`" for column in COLUMNS)],
            "control-fields": _table("| field | type | meaning |", control),
        },
        "docs/ledger.md": {"damages": _meant(meanings.DAMAGES, Kind)},
        "docs/http.md": {"refusals": _table("| status | code | when |", refusals)},
    }


def filled(file: str, named: Mapping[str, list[str]]) -> str:
    """Return a file's text with its generated parts made anew. Raises: ValueError where a part has no place."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for name, lines in named.items():
        before, start, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- /generated -->")
        if not start or not end:
            raise ValueError(f"{file} has no place for `{name}`")
        text = f"{before}{start}" + "\n".join(lines) + f"\n{end}{after}"
    return text


def wanted() -> dict[Path, str]:
    """Return every generated file and what it should hold."""
    files = {ROOT / "completions" / name: script(shell) for shell, name in FILES.items()}
    return files | {ROOT / file: filled(file, named) for file, named in parts().items()}


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
