"""`llmcp demo`: the real daemon, the real SDKs, a sample provider, four requests, and the records they leave."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from llmcp.cli.render import emit_rows, say
from llmcp.errors import LlmcpError, NegativeResultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmcp.cli.demo_provider import SampleProvider

POLICY = """\
apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: demo, title: What this demo allows}
spec:
  rules:
    - id: approved-models
      match: {models: ["gpt-4o*", "claude-*"]}
      allow: {}
    - id: cap-output
      when: request.max_tokens > 256
      set: {max_tokens: 256}
"""
_COLUMNS = ("time", "operation", "provider", "model", "outcome", "rules", "input_tokens", "output_tokens", "cost_microusd")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo() -> None:
    """Show llmcp at work: a permitted, a refused, a capped and a streamed request through a real daemon.

    Needs no key and no network: the provider is built in. Writes to a temporary directory only, and removes it.
    Exit 1 when anything went otherwise than said. Example: llmcp demo
    """
    try:
        import anthropic  # noqa: F401
        import openai  # noqa: F401
    except ImportError:
        raise UsageError(
            "the demo drives the real OpenAI and Anthropic SDKs, and they are not installed", fix="`pip install 'llmcp[demo]'`"
        ) from None
    from llmcp.cli.demo_provider import SampleProvider

    with tempfile.TemporaryDirectory(prefix="llmcp-demo-") as scratch, SampleProvider() as provider:
        _run(Path(scratch) / "home", provider)


def _run(home: Path, provider: SampleProvider) -> None:
    from llmcp.config import environment

    (home / "policies").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "policies" / "demo.yaml").write_text(POLICY, encoding="utf-8")
    print(f"The policy:\n\n{POLICY}")
    env = {name: value for name, value in environment.current().items() if not name.startswith("LLMCP_")} | {
        "LLMCP_HOME": str(home),
        "LLMCP_PROVIDERS__OPENAI__BASE_URL": provider.url,
        "LLMCP_PROVIDERS__ANTHROPIC__BASE_URL": provider.url,
        "LLMCP_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "llmcp"]
    daemon = subprocess.Popen([*command, "serve", "--port", "0", "--admin-port", "0"], env=env, stdin=subprocess.DEVNULL)
    try:
        found = subprocess.run([*command, "status", "--json", "--wait", "20"], env=env, stdout=subprocess.PIPE, check=False)
        if found.returncode != 0:
            raise LlmcpError("the demo's daemon did not start", fix="run `llmcp serve` by hand and see what it says")
        gateway = json.loads(found.stdout)["gateway"]
        wrong = [title for title, went_well in _requests(gateway, provider) if not went_well()]
        print("\nThe records they left (`llmcp audit query`):\n")
        records = subprocess.run([*command, "audit", "query", "-o", "json"], env=env, stdout=subprocess.PIPE, check=True)
        emit_rows(map(_row, json.loads(records.stdout)), _table(), _COLUMNS)
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
    if wrong:
        raise NegativeResultError(f"not as expected: {', '.join(wrong)}")
    say('\nAll four went as they should. Next: `llmcp init`, `llmcp serve`, `eval "$(llmcp env)"`.')


def _table() -> Any:  # noqa: ANN401 - kept local so that the import of the enumeration stays in one place
    from llmcp.cli.render import Output

    return Output.TABLE


def _row(record: dict[str, Any]) -> dict[str, Any]:
    gen_ai = record["gen_ai"]
    return {
        "time": record["time"][11:19],
        "operation": record["operation"],
        "provider": gen_ai["provider"],
        "model": gen_ai["request_model"],
        "outcome": record["outcome"],
        "rules": [f"{rule['policy']}/{rule['id']}" for rule in record["rules"]],
        "input_tokens": gen_ai["input_tokens"],
        "output_tokens": gen_ai["output_tokens"],
        "cost_microusd": record["cost_microusd"],
    }


def _requests(gateway: str, provider: SampleProvider) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Yield each scene's title and what runs it. A scene prints what it sees and says whether it went well."""
    import anthropic
    import openai

    # The sample provider takes any key; the form says whose it is, so that unified paths let it pass.
    ask = openai.OpenAI(base_url=f"{gateway}/v1", api_key="sk-" + "demo", max_retries=0).chat.completions
    tell = anthropic.Anthropic(base_url=gateway, api_key="sk-ant-" + "demo", max_retries=0).messages
    hello: Any = [{"role": "user", "content": "Say hello."}]

    def permitted() -> bool:
        answer = ask.create(model="gpt-4o-mini", messages=hello, max_tokens=64)
        return _show("1. Permitted (openai)", answer.choices[0].message.content, expect="64 tokens")

    def refused() -> bool:
        before = provider.requests
        try:
            ask.create(model="o1-pro", messages=hello)
        except openai.PermissionDeniedError as error:
            arrived = provider.requests - before
            said = f"openai.PermissionDeniedError: {error.body['message'] if isinstance(error.body, dict) else error}"
            return _show("2. Refused (openai)", f"{said}; {arrived} requests reached the provider", expect="; 0 requests")
        return _show("2. Refused (openai)", "it was let through", expect="PermissionDeniedError")

    def capped() -> bool:
        answer = tell.create(model="claude-sonnet-4-5", messages=hello, max_tokens=4096)
        text = answer.content[0].text if answer.content[0].type == "text" else ""
        return _show("3. Modified: asked for 4096 tokens (anthropic)", text, expect="256 tokens")

    def streamed() -> bool:
        pieces: list[str] = []
        with tell.stream(model="claude-sonnet-4-5", messages=hello, max_tokens=128) as stream:
            pieces.extend(stream.text_stream)
        return _show(f"4. Streamed in {len(pieces)} pieces (anthropic)", "".join(pieces), expect="128 tokens") and len(pieces) > 1

    yield "permitted", permitted
    yield "refused", refused
    yield "modified", capped
    yield "streamed", streamed


def _show(title: str, said: str | None, *, expect: str) -> bool:
    print(f"{title}\n   {said}")
    return expect in (said or "")
