"""What happens when an exchange is over: its record to the recorder, its figures to the metrics.

Rules:
1. Called on the event loop, once per exchange; it computes and queues, it waits for nothing.
2. Metric labels are providers, operations, outcomes and kinds of refusal: closed lists, never a client's words.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from llmcp.engine.admission import admission
from llmcp.engine.recent import ByIdentity
from llmcp.engine.settlement import kept_bodies, settle
from llmcp.runtime.health import health

if TYPE_CHECKING:
    from llmcp.core.http import Headers, RequestHead, Respond
    from llmcp.engine.exchange import Exchange
    from llmcp.ports import Clock
    from llmcp.runtime.gateway import Gateway
    from llmcp.runtime.recorder import Recorder
    from llmcp.runtime.state import DaemonState
    from llmcp.runtime.upstream import UpstreamPool
    from llmcp.telemetry.metrics import Registry
    from llmcp.wiring.loading import Loader

log = logging.getLogger("llmcp.gateway")

# Sources of a price that is not the table's own for that provider and model.
_GUESSED = ("default", "inferred")
_WARNINGS = 1024
_UPSTREAM = frozenset({"llmcp_upstream_failed", "llmcp_upstream_timeout"})


class Settler:
    """See the module's rules."""

    def __init__(self, registry: Registry, *, recorder: Recorder, state: DaemonState, loader: Loader, clock: Clock) -> None:
        self._registry = registry
        self._recorder = recorder
        self._state = state
        self._loader = loader
        self._clock = clock
        # Who may talk to a listener follows from the headers and the settings alone.
        self._admitted: ByIdentity[Headers, bool] = ByIdentity(256)
        self._warned: set[tuple[str, str]] = set()
        self._admitted_by = loader.settings.listen
        self._requests = registry.counter(
            "llmcp_requests_total", "Governed requests, by what came of them.", ("provider", "operation", "outcome")
        )
        self._refusals = registry.counter("llmcp_refusals_total", "Answers of llmcp's own, by kind.", ("kind",))
        self._upstream_errors = registry.counter(
            "llmcp_upstream_errors_total", "Providers that failed or did not answer in time.", ("provider", "kind")
        )
        self._tokens = registry.counter("llmcp_tokens_total", "Tokens, by direction.", ("provider", "direction"))
        self._cost = registry.counter("llmcp_cost_microusd_total", "What requests cost, in micro-USD.", ("provider",))
        self._bugs = registry.counter("llmcp_internal_faults_total", "Requests refused because llmcp itself failed.")
        self._overhead = registry.histogram("llmcp_overhead_seconds", "Time that llmcp adds before a request goes upstream.")
        self._gauges()

    def _gauges(self) -> None:
        registry, recorder, state = self._registry, self._recorder, self._state

        def revision_info() -> dict[tuple[str, ...], float]:
            return {(state.revision, str(state.readiness)): 1}

        registry.gauge("llmcp_records_written_total", "Records in the store.", lambda: recorder.state().written, kind="counter")
        registry.gauge("llmcp_records_dropped_total", "Records lost.", lambda: recorder.state().dropped, kind="counter")
        registry.gauge("llmcp_records_pending", "Records that wait for the store.", lambda: recorder.state().pending)
        registry.gauge(
            "llmcp_store_refusing_seconds", "For how long the store has taken no records.", lambda: recorder.state().failing_s
        )
        registry.gauge("llmcp_loads_total", "Loads of policies and settings.", lambda: state.loads, kind="counter")
        registry.gauge("llmcp_load_failures_total", "Loads that were not applied.", lambda: state.load_failures, kind="counter")
        registry.gauge("llmcp_policies", "Policies in force.", lambda: state.policies)
        registry.gauge(
            "llmcp_revision_info",
            "The revision in force.",
            revision_info,
            ("revision", "state"),
        )

    def watch_connections(self, gateway: Gateway, pool: UpstreamPool) -> None:
        """Export how many connections there are."""
        self._registry.gauge("llmcp_client_connections", "Clients connected to the gateway.", lambda: gateway.open_connections)
        self._registry.gauge(
            "llmcp_upstream_connections", "Connections to providers, idle ones included.", lambda: pool.open_connections
        )

    def local(self, head: RequestHead) -> Respond | None:
        """Answer what needs no exchange: who may not talk to us at all, and health."""
        listen = self._loader.settings.listen
        if listen is not self._admitted_by:
            self._admitted_by = listen
            self._admitted.clear()
        if self._admitted.get(head.headers) is None:
            refused = admission(head, listen)
            if refused is not None:
                return refused
            self._admitted.put(head.headers, True)  # noqa: FBT003 - a memory of who was let in
        return health(head, self._state)

    def refuse(self, head: RequestHead) -> Respond | None:
        """Turn away who may not talk to any listener."""
        return admission(head, self._loader.settings.listen)

    def bug(self, error: Exception) -> None:
        """Hear of an exception that a boundary caught."""
        self._bugs.inc()
        log.error("internal_fault", exc_info=error)

    def settle(self, exchange: Exchange) -> None:
        """Record a finished exchange."""
        record = settle(exchange, prices=self._loader.prices, now=self._clock.now(), ended_ns=self._clock.monotonic_ns())
        if record is None:
            return
        if not self._recorder.submit(record, kept_bodies(exchange.progress)):
            log.error("record_dropped", extra={"fields": {"decision_id": record.decision_id}})
        gen_ai = record.gen_ai
        provider = gen_ai.provider
        self._requests.inc(provider, record.operation, record.outcome)
        self._overhead.observe(record.overhead_us / 1e6)
        if gen_ai.input_tokens or gen_ai.output_tokens:
            self._tokens.inc(provider, "input", by=gen_ai.input_tokens)
            self._tokens.inc(provider, "output", by=gen_ai.output_tokens)
        if record.cost_microusd:
            self._cost.inc(provider, by=record.cost_microusd)
        if record.price_source.startswith(_GUESSED):
            self._warn_of_price(provider, gen_ai.response_model or gen_ai.request_model, record.price_source)
        refusal = exchange.progress.refusal
        if refusal is not None:
            kind = str(refusal.kind)
            self._refusals.inc(kind)
            if kind in _UPSTREAM:
                self._upstream_errors.inc(provider, kind)

    def _warn_of_price(self, provider: str, model: str, source: str) -> None:
        """Say once for each model that its price is not known; the names are bounded, whoever makes them up."""
        if (provider, model) in self._warned or len(self._warned) >= _WARNINGS:
            return
        self._warned.add((provider, model))
        log.warning("price_not_known", extra={"fields": {"provider": provider, "model": model, "price_source": source}})
