"""`llmcp audit verify|checkpoint|prove|verify-proof|consistency|prune`: the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from llmcp.cli.render import JsonFlag, Output, OutputOption, chosen, counted, emit_document, emit_rows, say
from llmcp.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmcp.core.signed_note import CheckpointText
    from llmcp.wiring.ledger import Book

_MOST_BYTES: Final = 64 * 1024 * 1024

Stream = Annotated[str, typer.Option(help="`decision` or `control`.")]
PublicKey = Annotated[
    list[str] | None, typer.Option("--public-key", help="A key to trust, as text or in a file; without it the store's own.")
]
Anchors = Annotated[
    list[str] | None, typer.Option("--anchor", help="`file:PATH`, `git:DIRECTORY` or `https://…`, besides the settings'.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to `llmcp audit`."""
    app.command()(verify)
    app.command()(checkpoint)
    app.command()(prove)
    app.command("verify-proof")(verify_proof)
    app.command()(consistency)
    app.command()(prune)


def verify(
    stream: Annotated[str, typer.Option(help="Only this one: `decision` or `control`.")] = "",
    anchor: Anchors = None,
    public_key: PublicKey = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Check every record against its leaf, every leaf against the tree, and the tree against checkpoints and anchors.

    Only an anchor shows that records were cut off together with the checkpoints over them, or that an old store was put back; nothing
    covers records after the last checkpoint yet. Who can write the store and has the signing key can do all that llmcp can.

    Writes nothing. Exit 1 when anything is damaged; each damage is named. Example: llmcp audit verify --anchor file:/mnt/worm/llmcp
    """
    from llmcp.wiring import ledger

    form = chosen(output, as_json)
    report = ledger.verify_all(
        _book(), stream=_stream(stream, empty=True), anchors=anchor or (), keys=_keys(public_key), progress=_progress(), note=say
    )
    emit_document(report.document(), form, "\n".join(_words(report.document())))
    if not report.anchors:
        say("no anchor was asked: records cut off with their checkpoints, or an old store put back, would not show (`--anchor`)")
    if report.damages:
        say(f"damaged: {counted(report.count, 'finding')}")
        raise typer.Exit(1)


def checkpoint(
    anchor: Anchors = None,
    public_key: Annotated[
        bool, typer.Option("--public-key", help="Print the public key instead, for `--public-key` elsewhere.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the checkpoints there are instead.")] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="Go on with a new signing key; the old one stays known.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Sign the log as it is now, print the newest checkpoint of each stream, and bring it to the anchors.

    Writes checkpoints into the store (and the key into the secret store, the first time). Exit 1 when the log is damaged, 5 when
    an anchor cannot be reached.

    Example: llmcp audit checkpoint --public-key
    """
    from llmcp.wiring import ledger

    book = _book(make=not listed)
    if listed:
        form = chosen(output, as_json, Output.TABLE)
        if not emit_rows(ledger.checkpoints(book), form, ("stream", "size", "time", "root")):
            say("there is no checkpoint yet; `llmcp audit checkpoint` makes one")
        return
    if public_key:
        key = ledger.public_key(book)
        emit_document({"public_key": key}, chosen(output, as_json), key)
        return
    signed = ledger.sign_now(book, anchors=anchor or (), new_key=new_key)
    emit_document(signed.notes, chosen(output, as_json), "\n".join(document["note"] for document in signed.notes))
    say(f"signed: {counted(signed.made, 'new checkpoint')}" + ("; a signature is for good" if signed.made else ""))
    for name, count in signed.anchored.items():
        say(f"anchored: {counted(count, 'checkpoint')} brought to {name}")
    if signed.problems:
        raise UnreachableError(
            "; ".join(signed.problems), why="its checkpoints wait in the store", fix="run it again when the place is there",
            code="anchor-unreachable",
        )  # fmt: skip


def prove(
    decision_id: Annotated[str, typer.Argument(help="The decision; or say `--seq`.")] = "",
    seq: Annotated[int | None, typer.Option(min=1, help="The record's number instead of an id.", show_default=False)] = None,
    stream: Stream = "decision",
    out: Annotated[Path | None, typer.Option(help="Write the proof to this file.")] = None,
) -> None:
    """Write a proof that a record stands in the signed log; whoever checks it needs neither this store nor llmcp's word.

    Exit 3 when the record is not there, or no checkpoint covers it yet. Example: llmcp audit prove d_01… --out proof.json
    """
    import json

    from llmcp.errors import UsageError
    from llmcp.wiring import ledger

    if bool(decision_id) == (seq is not None):
        raise UsageError(
            "name one record", why="by its id or by its number", fix="`llmcp audit prove ID` or `llmcp audit prove --seq N`"
        )
    text = json.dumps(ledger.prove(_book(), _stream(stream), decision_id, seq or 0).document(), indent=2)
    if out is None:
        print(text)
        return
    _write(out, text + "\n")
    say(f"wrote {out}; check it with `llmcp audit verify-proof {out}`")


def verify_proof(
    file: Annotated[Path, typer.Argument(help="What `llmcp audit prove` wrote.")],
    public_key: PublicKey = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Check a proof without any store. Give `--public-key` from elsewhere, or the proof vouches for itself alone.

    Exit 1 when it does not hold. Example: llmcp audit verify-proof proof.json --public-key llmcp.pub
    """
    from llmcp.wiring import ledger

    keys = _keys(public_key)
    proof, signed = ledger.check_proof(_read(file), keys)
    document = {
        "ok": True,
        "seq": proof.seq,
        "size": signed.size,
        "origin": signed.origin,
        "trusted": bool(keys),
        "record": _json(proof.leaf),
    }
    emit_document(
        document, chosen(output, as_json), f"record {proof.seq} stands in the log {signed.origin} of {signed.size} records"
    )
    if not keys:
        say("the key is the proof's own: compare it with one from elsewhere (`--public-key`)")


def consistency(
    old: Annotated[str, typer.Argument(help="The older checkpoint: its size, or a file with notes.")],
    new: Annotated[str, typer.Argument(help="The newer one.")],
    stream: Stream = "decision",
    public_key: PublicKey = None,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Prove that the log only grew between two checkpoints: print the proof's hashes.

    Exit 1 when it did not, 3 when there is no such checkpoint. Example: llmcp audit consistency 10000 20000
    """
    from llmcp.wiring import ledger

    book, keys = _book(), _keys(public_key)

    def said(word: str) -> CheckpointText:
        if word.isascii() and word.isdecimal():
            return ledger.checkpoint_at(book, _stream(stream), int(word))
        return ledger.checkpoint_in(book, _read(Path(word)), _stream(stream), keys)

    first, second = said(old), said(new)
    proof = [part.hex() for part in ledger.consistency(book, _stream(stream), first, second)]
    document = {"ok": True, "stream": stream, "old": first.size, "new": second.size, "proof": proof}
    emit_document(document, chosen(output, as_json), "\n".join(proof))
    say(f"the first {first.size} of {second.size} records are the same")


def prune(
    before: Annotated[str, typer.Option(help="Take what is older: `90d`, `2w`, or an RFC 3339 time.")],
    mode: Annotated[str, typer.Option(help="`rows`: whole records. `bodies`: kept bodies alone.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    output: OutputOption = None,
) -> None:
    """Take old records or bodies away. What is left still verifies; usage stays.

    Writes the store and a control record for each step; cannot be undone. Only records that a checkpoint covers go. Exit 1 when the
    log is damaged: nothing is taken then.

    Example: llmcp audit prune --before 90d --mode rows --dry-run
    """
    from llmcp.control.audit import parse_moment
    from llmcp.core.records import timestamp
    from llmcp.errors import UsageError
    from llmcp.wiring import ledger, now

    if mode not in {"rows", "bodies"}:
        raise UsageError(f"unknown mode `{mode[:32]}`", why="modes are rows and bodies", fix="use one of them")
    book, bound = _book(), timestamp(parse_moment(before, now()))
    plan = ledger.plan_pruning(book, mode, bound)
    document: dict[str, Any] = {"mode": mode, "before": bound, "records": plan.records, "bodies": plan.bodies, "done": False}
    if plan.records:
        document |= {"first": plan.first, "last": plan.last}
    what = counted(plan.records, "record") if mode == "rows" else counted(plan.bodies, "body", "bodies")
    if dry_run or not (plan.records or plan.bodies):
        emit_document(document, chosen(output, as_json), f"{what} older than {bound} would go" if dry_run else "")
        if not dry_run:
            say(
                f"no {'record' if mode == 'rows' else 'body'} that a checkpoint covers is older than {bound}; nothing was written"
            )
        return
    if not yes:
        _ask(f"take away {what} older than {bound}? This cannot be undone")
    gone = ledger.prune(book, mode, plan, say)
    document |= {"done": True, ("records" if mode == "rows" else "bodies"): gone}
    emit_document(document, chosen(output, as_json), f"{gone} {mode} are gone")
    say("a backup made before still has them (`llmcp store restore`); `llmcp audit verify` checks what is left")


def _ask(question: str) -> None:
    """Let a person agree. Raises: UsageError where there is nobody to ask, Exit where they do not."""
    import sys

    from llmcp.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on", why=f"the question is: {question}", fix="say `--yes`, or look with `--dry-run`"
        )
    if not typer.confirm(question, err=True):
        say("nothing was written")
        raise typer.Exit(1)


def _book(*, make: bool = False) -> Book:
    from llmcp import wiring
    from llmcp.wiring import ledger

    home = wiring.home()
    return ledger.open_book(home, wiring.load_settings(home), make=make)


def _stream(name: str, *, empty: bool = False) -> str:
    from llmcp.core.ledger import STREAMS
    from llmcp.errors import UsageError

    if name in STREAMS or (empty and not name):
        return name
    raise UsageError(f"unknown stream `{name[:32]}`", why=f"streams are {' and '.join(STREAMS)}", fix="use one of them")


def _keys(given: list[str] | None) -> tuple[str, ...]:
    """Return the keys that were given as text, or read from files that were named."""
    found: list[str] = []
    for text in given or ():
        lines = [text] if "+" in text and not Path(text).is_file() else _read(Path(text)).splitlines()
        found += [line for line in lines if line.strip()]
    return tuple(found)


def _read(path: Path) -> str:
    from llmcp.errors import NotFoundError, UsageError

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"`{path}` is too large", why="no key, checkpoint or proof has as much", fix="check the path")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"cannot read `{path}`", why=_reason(error), fix="check the path", code="no-such-file") from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror or type(error).__name__


def _write(path: Path, text: str) -> None:
    from llmcp.errors import UsageError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write `{path}`", why=error.strerror or type(error).__name__, fix="check the path") from error


def _json(data: bytes) -> Any:  # noqa: ANN401 - whatever the record says
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _progress() -> Callable[[int, int], None]:
    def show(done: int, every: int) -> None:
        say(f"checked {done} of {every} records")

    return show


def _words(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{report['stream']}: {counted(report['records'], 'record')}, {counted(report['checkpoints'], 'checkpoint')}, signed up to {report['signed']}"
        + (f", {report['pruned']} pruned" if report["pruned"] else "")
        + (f", {unsigned} that no checkpoint covers yet" if (unsigned := report["size"] - report["signed"]) > 0 else "")
        for report in document["streams"]
    ]
    lines += [f"{report['name']}: {counted(report['compared'], 'checkpoint')} compared" for report in document["anchors"]]
    lines += [
        f"{damage['kind']}: {damage['place']}: {damage['message']}"
        if damage["place"]
        else f"{damage['kind']}: {damage['message']}"
        for damage in document["damages"]
    ]
    return lines or ["nothing to verify"]
