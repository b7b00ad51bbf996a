"""Small logs with checkpoints, for tests that tamper with them, prune them or prove things about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from llmcp.control.ledger import Notary, sign_checkpoint
from llmcp.control.ledger_chain import Trust
from llmcp.control.ledger_verify import StreamReport, verify_stream
from llmcp.core.control_records import ControlRecord
from llmcp.core.ledger import Damage, DamageList
from llmcp.core.records import DecisionRecord, Finding, GenAi, Rule
from llmcp.core.signed_note import VerifierKey
from llmcp.stores.ledger_key import LedgerSigner, verify
from llmcp.stores.sqlite.audit_log import SqliteAuditLog
from llmcp.stores.sqlite.change import change
from llmcp.stores.sqlite.ledger import SqliteLedger

ORIGIN = "example.com/log"


def notary_of(seed: int = 1) -> Notary:
    """Return a notary whose key is always the same for a seed."""
    signer = LedgerSigner(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
    return Notary(signer, VerifierKey(ORIGIN, signer.public), verify)


def decision(number: int, **fields: Any) -> DecisionRecord:
    """Return record `number` of a varied log: three orgs, two models, rules now and then; ten records a minute."""
    model = "gpt-4o" if number % 2 else "claude-sonnet-4"
    known: dict[str, Any] = {
        "id": f"d_{number:06d}",
        "decision_id": f"d_{number:06d}",
        "time": f"2026-01-{1 + number // 14400:02d}T{number // 600 % 24:02d}:{number // 10 % 60:02d}:{number % 10:02d}.000000Z",
        "org": f"org{number % 3}",
        "user": f"user{number % 5}",
        "rules": (Rule("deny", "r", "enforce", "p"),) if number % 7 == 0 else (),
        "findings": (Finding("masked", 1, "pii.email"),) if number % 11 == 0 else (),
        "labels": {"team": f"t{number % 2}"},
        "gen_ai": GenAi(provider="openai", request_model=model, input_tokens=number, output_tokens=2, usage_source="provider"),
        "cost_microusd": number,
    }
    return DecisionRecord(**(known | fields))


def control(number: int) -> ControlRecord:
    """Return a change by an operator."""
    return ControlRecord(
        action="org.create",
        actor="local:ann",
        id=f"c_{number:04d}",
        target=f"org-{number}",
        time=f"2026-01-01T00:00:{number:02d}.000000Z",
    )


@dataclass
class Log:
    """A store with a ledger."""

    path: Path
    notary: Notary = field(default_factory=notary_of)
    records: int = 0
    controls: int = 0

    @property
    def ledger(self) -> SqliteLedger:
        """Return the ledger's side of the store."""
        return SqliteLedger(self.path)

    def grow(self, count: int, batch: int = 64) -> None:
        """Append so many decision records."""
        audit = SqliteAuditLog(self.path)
        while count:
            part = min(batch, count)
            audit.append([decision(self.records + at) for at in range(1, part + 1)])
            self.records += part
            count -= part
        audit.close()

    def operate(self, count: int) -> None:
        """Let an operator change something so many times."""
        for _ in range(count):
            self.controls += 1
            with change(self.path, control(self.controls)):
                pass

    def sign(self, *streams: str) -> None:
        """Sign checkpoints over what there is."""
        for stream in streams or ("decision", "control"):
            sign_checkpoint(self.ledger, stream, self.notary, f"2026-02-01T00:00:00.{self.records:06d}Z")

    def verify(self) -> tuple[tuple[Damage, ...], list[StreamReport]]:
        """Return what is wrong, and what there is."""
        damages, reports = DamageList(), []
        trust = Trust((self.notary.key,), verify, ORIGIN)
        for stream in ("control", "decision"):
            with self.ledger.view(stream) as view:
                reports.append(verify_stream(view, trust, damages))
        damages.extend(tuple(self.ledger.beside()))
        return damages.found(), reports


def standing(path: Path) -> Log:
    """Return a log of 700 decisions, checkpoints over 200, 400 and 650 of them, and 8 changes, checkpoints over 3 and 6."""
    path.write_bytes(_standing())
    return Log(path, records=700, controls=8)


@cache
def _standing() -> bytes:
    with TemporaryDirectory() as directory:
        log = Log(Path(directory) / "llmcp.db")
        log.grow(200)
        log.operate(3)
        log.sign()
        log.grow(200)
        log.operate(3)
        log.sign()
        log.grow(250)
        log.sign()
        log.grow(50)
        log.operate(2)
        return log.path.read_bytes()
