"""How results and errors reach a terminal, a pipe or a script.

Rules:
1. Data goes to standard output, everything else to standard error; nothing is coloured.
2. `--json` is one document; `jsonl` one document a line; `csv` has a header; `table` and `text` are for people.
3. An error has three lines at most (`error[CODE]`, `cause`, `hint`), or is one JSON object on standard error where JSON was asked for.
4. An error that repeats what somebody typed repeats no key: terminals scroll back, and the logs of CI jobs are read by many.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmcp.errors import LlmcpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


_USD = 1_000_000
# How keys begin that this field hands out, ours among them. What has no form of its own (32 hexadecimal digits) cannot be told from a
# name; the verbs that might be given one show little of a name they do not know.
_KEY = re.compile(
    r"(?<![a-z0-9])((?:sk|pk|rk|gsk|xai|hf|pplx|fw|csk|tgp|nvapi|r8|ya29)[-_.]|aiza|a[ks]ia|llmcp_[0-9a-z]{11}_)[a-z0-9_.:/+=-]{12,}",
    re.ASCII | re.IGNORECASE,
)


class Output(StrEnum):
    """The forms that read verbs write."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TABLE = "table"


JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON document (same as -o json).")]
OutputOption = Annotated[
    Output | None, typer.Option("-o", "--output", help="text, json, jsonl, csv or table.", show_default=False)
]


def chosen(output: Output | None, as_json: bool, default: Output = Output.TEXT) -> Output:
    """Return the form that the options name. Raises: UsageError where they contradict each other."""
    if as_json and output not in {None, Output.JSON}:
        raise UsageError(f"`--json` and `-o {output}` contradict each other", fix="give one of them")
    return Output.JSON if as_json else output or default


def say(text: str) -> None:
    """Tell the person something that is not data."""
    print(text, file=sys.stderr)


def emit_document(document: object, output: Output, text: str) -> None:
    """Write one result: as JSON where a machine form was asked for, else `text`."""
    if output is Output.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif output in {Output.JSONL, Output.CSV}:
        if output is Output.CSV:
            raise UsageError("`-o csv` has no meaning here", fix="use `-o json` or `-o text`")
        print(json.dumps(document, ensure_ascii=False))
    elif text:
        print(text)


def usd(microusd: int) -> str:
    """Return money for a person: cents, or finer where it is less than a dollar."""
    return f"${microusd / 1e6:,.2f}" if microusd >= _USD or not microusd else f"${microusd / 1e6:.6f}"


def emit_rows(
    rows: Iterable[Mapping[str, Any]],
    output: Output,
    columns: Sequence[str],
    *,
    header: bool = True,
    right: Collection[str] = (),
) -> int:
    """Write rows in the chosen form; `columns` are what `csv` and `table` show. Return how many there were.

    In a table, the columns `right` end at the right.
    """
    if output is Output.JSON:
        return _write_array(rows)
    if output is Output.JSONL:
        count = 0
        for row in rows:
            print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
            count += 1
        return count
    if output is Output.CSV:
        return _write_csv(rows, columns, header=header)
    return _write_table([[_cell(row.get(column, "")) for column in columns] for row in rows], columns, right)


def emit_lines(documents: Iterable[bytes]) -> int:
    """Write documents that are JSON already, one a line. Return how many there were."""
    count = 0
    for data in documents:
        print(data.decode())
        count += 1
    return count


def _write_array(rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON array without holding it: there may be very many."""
    count = 0
    for row in rows:
        text = json.dumps(row, indent=2, ensure_ascii=False)
        print(",\n" if count else "[\n", "  " + text.replace("\n", "\n  "), sep="", end="")
        count += 1
    print("\n]" if count else "[]")
    return count


def _write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, header: bool) -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if header:
        writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([_spreadsheet_safe(_cell(row.get(column, ""))) for column in columns])
        count += 1
    return count


def _write_table(cells: list[list[str]], columns: Sequence[str], right: Collection[str]) -> int:
    if not cells:
        return 0
    widths = [max(len(column), *(len(row[index]) for row in cells)) for index, column in enumerate(columns)]
    for row in ([column.upper() for column in columns], *cells):
        aligned = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(aligned).rstrip())
    return len(cells)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A client chose some of these texts: nothing in them may steer the terminal.
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def _spreadsheet_safe(cell: str) -> str:
    """Keep a spreadsheet from running a cell that a client chose the text of."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@"} and not cell.lstrip("+-").replace(".", "", 1).isdigit() else cell


def report(error: LlmcpError, *, as_json: bool) -> None:
    """Write an error to standard error."""
    what, why, fix = (_KEY.sub(r"\1…", text) for text in (error.what, error.why, error.fix))
    if as_json:
        body = {
            "code": error.code,
            "message": what if not why else f"{what}: {why}",
            "hint": fix,
            "file": getattr(error, "file", ""),
            "line": getattr(error, "line", 0),
            "column": getattr(error, "column", 0),
        }
        say(json.dumps({"error": body}, ensure_ascii=False))
        return
    say(f"error[{error.code}]: {what}")
    if why:
        say(f"cause: {why}")
    if fix:
        say(f"hint: {fix}")
