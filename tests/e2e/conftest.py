"""What the end-to-end tests share: a real loopback provider and real daemons in front of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from e2e.daemon import Daemon
from fakes.provider_server import ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DENY_FORBIDDEN = """apiVersion: llmcp.dev/v1
kind: Policy
metadata: {name: e2e}
spec:
  rules:
    - id: forbidden-model
      match: {models: ["forbidden-*"]}
      deny: {message: This model is forbidden}
    - id: no-shell
      tools: {deny: [shell]}
    - id: cap
      match: {models: ["capped-*"]}
      when: request.max_tokens > 100
      set: {max_tokens: 100}
"""


@pytest.fixture(scope="session", autouse=True)
def _no_proxies() -> Iterator[None]:
    """Keep a proxy of the environment out of the clients' way: everything here is on loopback."""
    saved = {k: os.environ.pop(k) for k in list(os.environ) if k.lower() in {"http_proxy", "https_proxy", "all_proxy"}}
    yield
    os.environ.update(saved)


@pytest.fixture(scope="module")
def module_provider() -> Iterator[ProviderServer]:
    """Run one provider for a module."""
    with ProviderServer() as server:
        yield server


@pytest.fixture
def provider(module_provider: ProviderServer) -> Iterator[ProviderServer]:
    """Hand out the module's provider with nothing in its memory."""
    module_provider.forget()
    yield module_provider
    module_provider.forget()


@pytest.fixture(scope="module")
def daemon(module_provider: ProviderServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Run one daemon for a module, with a small policy that denies `forbidden-*` models and the tool `shell`."""
    running = Daemon(tmp_path_factory.mktemp("daemon") / "home", module_provider.url)
    running.policy("e2e", DENY_FORBIDDEN)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def make_daemon(tmp_path: Any, provider: ProviderServer) -> Iterator[Callable[..., Daemon]]:
    """Start daemons of a test's own: `make_daemon(policies={name: text}, settings={…})`."""
    made: list[Daemon] = []

    def make(*, policies: dict[str, str] | None = None, settings: dict[str, str] | None = None, start: bool = True) -> Daemon:
        new = Daemon(tmp_path / f"home{len(made)}", provider.url, settings=settings or {})
        made.append(new)
        for name, text in (policies or {}).items():
            new.policy(name, text)
        if start:
            new.start()
        return new

    yield make
    for each in made:
        each.stop()
