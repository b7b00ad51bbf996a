"""One request from its head to its record: an explicit state machine that takes bytes and returns what to do.

It owns the order of things (CONTRACT sections 2 and 4) and the failure rules; it owns no socket, no clock and no wording of a
dialect. The shell calls it, does what it says, and calls `finished` once.

Rules:
1. States go one way: HEAD → BODY → SENT → (STREAMING | HELD) → DONE → SETTLED; a call in the wrong state raises.
2. One revision decides the whole exchange, and the record says which. Who asks, and what goes upstream, is said by the access
   snapshot of the moment in which the request is complete: a body may come long after its head, and a revocation in between.
3. Nothing is sent upstream before the request was read, its bearer identified, its credentials placed and every request rule asked.
4. An exception inside becomes a refusal with 503 in the caller's dialect (or a broken-off stream), never a forwarded request.
5. A body that no rule edits goes upstream byte for byte; an edit changes the bytes of that field alone.
6. A response that a rule may still refuse is held back until the rule has spoken; every other one passes as it comes.
7. Every exchange that names a provider leaves exactly one record.
8. A stored credential that a provider quotes in its answer reaches neither client nor record: it is blotted out, byte for byte.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import structs

from llmcp.core.bodies import Kept
from llmcp.core.decide import Decision, RecordLevel, ResponseView, Verdict
from llmcp.core.http import Cut, Forward, Headers, Hold, ReadBody, Replay, Respond, ResponseStart, header
from llmcp.core.messages import NO_EDITS, Observation, RequestEdits, RequestFacts
from llmcp.engine.access import NOBODY, outside
from llmcp.engine.answers import denial, error_name, fault, last_event, not_served, warning_headers
from llmcp.engine.bearer import Bearer
from llmcp.engine.checks import check_doubles, check_names, passes_unread, wrong_content, wrong_credentials
from llmcp.engine.encoding import decode_request
from llmcp.engine.headers import client_headers, kept_here, without
from llmcp.engine.placement import ask_rules, place, view_of
from llmcp.engine.plane import Progress
from llmcp.engine.stream import ResponseReader, declares_stream
from llmcp.engine.upstream_headers import outgoing, without_keys
from llmcp.errors import NotEditableError, WrongStateError
from llmcp.ports import Endpoint, Framing, Refusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmcp.core.http import RequestHead
    from llmcp.engine.access import Access
    from llmcp.engine.heads import HeadFacts
    from llmcp.engine.plane import Plane
    from llmcp.ports import Clock

_CONTENT_ENCODING = frozenset((b"content-encoding",))
_HOLD = Hold()
_OK_BELOW = 300
_REDIRECT_BELOW = 400
# What local servers are given for a key (`none`, `EMPTY`) is a word like others.
_TELLING = 16
_READING = frozenset({"GET", "HEAD"})


class State(StrEnum):
    """Where an exchange stands."""

    HEAD = "head"
    BODY = "body"
    SENT = "sent"
    STREAMING = "streaming"
    HELD = "held"
    DONE = "done"
    SETTLED = "settled"


class Exchange:
    """One request. `emit` is handed the progress exactly once, when the exchange is over.

    `access` is the snapshot for the head; `fresh` returns that of the moment in which the body has come, None: the same one.

    `closed` says why nothing can be decided now; every request is then refused with 503, and recorded.
    """

    __slots__ = (
        "_bearer",
        "_client_ip",
        "_clock",
        "_closed",
        "_emit",
        "_head",
        "_held",
        "_held_bytes",
        "_pending",
        "_said",
        "_secret",
        "_start",
        "decision_id",
        "plane",
        "progress",
        "state",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - everything it needs is injected
        self,
        plane: Plane,
        *,
        decision_id: str,
        client_ip: str,
        clock: Clock,
        emit: Callable[[Exchange], None],
        closed: str = "",
        access: Access = NOBODY,
        fresh: Callable[[], Access] | None = None,
    ) -> None:
        self.plane = plane
        self._bearer = Bearer(access, fresh)
        self.decision_id = decision_id
        self.state = State.HEAD
        self.progress = Progress(started_ns=clock.monotonic_ns())
        self._client_ip = client_ip
        self._clock = clock
        self._emit = emit
        self._closed = closed
        self._head: RequestHead | None = None
        self._said: HeadFacts | None = None
        self._secret = b""
        self._start: ResponseStart | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._pending: Respond | None = None

    @property
    def method(self) -> str:
        """The request's method; '' before its head came."""
        return self._head.method if self._head is not None else ""

    # -- the request ------------------------------------------------------------------------------------------------------------

    def receive_head(self, head: RequestHead) -> Respond | ReadBody | Forward:
        """Take the request's head; say whether its body is wanted, or answer at once."""
        self._expect(State.HEAD)
        self._head = head
        progress = self.progress
        try:
            named = self.plane.surface.resolve(head)
            if named is None:
                self.state = State.DONE
                return not_served(self._closed)
            if isinstance(named, Respond):
                self.state = State.DONE
                return named
            progress.endpoint = named
            said = self._said = self.plane.heads.read(head, self._client_ip)
            progress.client = said.client
            progress.labels = said.labels
            if self._closed:
                return self._refuse(self._refusal(RefusalKind.UNAVAILABLE, f"llmcp refuses this request: {self._closed}"))
            wrong = self._bearer.identify(progress, said, self._clock.now())
            if wrong is not None:
                return self._refuse(self._refusal(*wrong))
            named = self._endpoint()
            wrong = wrong_credentials(named, head, self.plane.settings) if progress.caller is None else None
            wrong = wrong or wrong_content(named, head, said)
            if wrong is not None:
                return self._refuse(self._refusal(*wrong))
            self.state = State.BODY
            if passes_unread(named, head, said) and not (
                progress.caller is not None and self.plane.surface.signs(named.provider)
            ):
                return self._decide(
                    named, RequestFacts(model=named.model, inspected=False, skipped=(("body", "not a JSON body"),)), None
                )
            return ReadBody(self.plane.settings.limits.request_body_bytes)
        except Exception as error:  # noqa: BLE001 - boundary: fails closed
            return self._fault(error)

    def receive_body(self, body: bytes) -> Respond | Forward:
        """Take the whole request body (de-chunked); decide."""
        self._expect(State.BODY)
        endpoint = self._endpoint()
        self.progress.request_bytes = len(body)
        try:
            wrong = self._bearer.identify_anew(self.progress, self._headers_said(), self._clock)
            if wrong is not None:
                return self._refuse(self._refusal(*wrong))
            coding = self._headers_said().content_encoding
            plain = decode_request(body, coding, self.plane.settings.limits.request_body_bytes) if coding else body
            if not endpoint.inspectable:
                facts = RequestFacts(
                    model=endpoint.model, inspected=False, skipped=(("body", "no dialect reads this endpoint"),) if body else ()
                )
            else:
                facts = endpoint.dialect.read_request(endpoint, plain)
                if endpoint.json_body and self.plane.revision.policies.reads_inside:
                    check_doubles(plain, facts.contents)
            return self._decide(endpoint, facts, body, plain)
        except Exception as error:  # noqa: BLE001 - boundary: fails closed
            return self._fault(error)

    def body_too_large(self) -> Respond:
        """Answer for a request body beyond the limit."""
        self._expect(State.BODY)
        limit = self.plane.settings.limits.request_body_bytes
        return self._refuse(
            self._refusal(RefusalKind.TOO_LARGE, f"the request body is larger than {limit} bytes (`limits.request_body_bytes`)")
        )

    def _decide(self, endpoint: Endpoint, facts: RequestFacts, body: bytes | None, plain: bytes = b"") -> Respond | Forward:
        progress = self.progress
        progress.facts = facts
        progress.request_model = facts.model
        check_names(facts)
        if facts.max_tokens is not None and facts.max_tokens < 0:
            # Local servers take -1 for "no limit", which is more than any ceiling.
            progress.facts = facts = structs.replace(facts, max_tokens=None)
        edits = NO_EDITS
        if endpoint.unified:
            placed = place(self.plane, self._bearer.access, progress, self._headers_said(), self._request_head().headers)
            if not isinstance(placed, Endpoint):
                return self._refuse(self._refusal(*placed))
            if placed.model and placed.model != facts.model:
                edits = RequestEdits(fields=(("model", placed.model),))
                progress.facts = facts = structs.replace(facts, model=placed.model)
            progress.endpoint = endpoint = placed
        refused = self._out_of_scope(endpoint, (facts.model, *facts.fallback_models))
        if refused is not None:
            return self._refuse(refused)
        view = view_of(self.plane, progress, self._clock.now())
        progress.view = view
        decision = ask_rules(self.plane, view)
        progress.decision = decision
        if decision.record is RecordLevel.FULL or (decision.response is not None and decision.response.keeps_bodies):
            self._keep_bodies(body)
        if decision.verdict is not Verdict.ALLOW:
            return self._refuse(self._refusal_of(decision))
        if not endpoint.inspectable and decision.response is not None and decision.response.holds:
            # Its answer could not be read either: where a rule reads answers and that is refused, nothing is sent at all. Tool
            # names alone are no content: such an endpoint passes them, and the record says that it was not inspected.
            decision = decision.response.unreadable("no dialect reads this endpoint")
            if decision.verdict is not Verdict.ALLOW:
                progress.response_decision = decision
                return self._refuse(self._refusal_of(decision))
        decision = progress.decision
        progress.edits = decision.edits
        if decision.edits:
            edits = RequestEdits((*edits.fields, *decision.edits.fields), decision.edits.strip_tools)
            refused = self._out_of_scope(endpoint, [value for field, value in decision.edits.fields if field == "model"])
            if refused is not None:
                return self._refuse(refused)
        return self._forward(endpoint, edits, body, plain)

    def _out_of_scope(self, endpoint: Endpoint, models: Sequence[str]) -> Refusal | None:
        """Refuse what the caller's token is not good for."""
        caller = self.progress.caller
        why = outside(caller, endpoint, models, self.plane.surface) if caller is not None else ""
        if not why:
            return None
        self.progress.error_type = "outside_token_scope"
        return self._refusal(RefusalKind.POLICY, why)

    def _keep_bodies(self, body: bytes | None) -> None:
        """Begin to keep the bodies: a rule wants them, or may want them once it has read the answer."""
        said = self._headers_said()
        self.progress.kept = kept = Kept(self.plane.settings.record.body_bytes)
        kept.take_request(body, content_type=said.content_type, content_encoding=said.content_encoding)

    def _forward(self, endpoint: Endpoint, edits: RequestEdits, body: bytes | None, plain: bytes) -> Respond | Forward:
        head, said = self._request_head(), self._headers_said()
        target = endpoint.target
        surface, progress = self.plane.surface, self.progress
        out = outgoing(self.plane, self._bearer.access, progress, said, salt=self.decision_id)
        if out is None:
            progress.error_type = "no_credential"
            why = f"llmcp has no credential for `{endpoint.provider}` here: store one with `llmcp key set {endpoint.provider}`"
            return self._refuse(self._refusal(RefusalKind.UNAUTHENTICATED, why))
        headers = out.headers
        if edits:
            if body is None:
                raise NotEditableError("a rule edits this request", why="its body is not read here, so it cannot be edited")
            target, body = endpoint.dialect.edit_request(endpoint, plain, edits)
            if said.content_encoding:
                headers = without(headers, _CONTENT_ENCODING)
        if out.stored is not None and "?" in target:
            target = without_keys(target)
        upstream = surface.upstream(endpoint)
        forward = Forward(upstream.origin, head.method, upstream.base_path + target, headers, body, upstream.timeouts)
        if out.stored is not None:
            if out.signs:
                forward = surface.sign(endpoint, forward, out.stored.secret, self._clock.now())
            progress.injected = True
            if len(out.stored.secret) >= _TELLING:
                self._secret = out.stored.secret.encode("ascii")
        self.state = State.SENT
        progress.attempts = 1
        progress.sent_ns = self._clock.monotonic_ns()
        progress.overhead_ns += progress.sent_ns - progress.started_ns
        return forward

    # -- the response -----------------------------------------------------------------------------------------------------------

    def receive_response_head(self, status: int, headers: Headers) -> ResponseStart | Hold:
        """Take the upstream's response head; begin the client's response or hold it."""
        self._expect(State.SENT)
        progress = self.progress
        endpoint, facts = self._endpoint(), progress.facts
        progress.status = status
        if self._secret and status >= _OK_BELOW:
            headers = tuple([pair for pair in headers if self._secret not in pair[1]])
        rules = progress.decision.response if status < _OK_BELOW else None
        if rules is not None and not endpoint.inspectable and not rules.holds:
            rules = None
        gated = held = False
        if rules is None:
            progress.seen = seen = Observation()
        else:
            progress.seen = seen = Observation("text" in rules.reads)
            gated = rules.gates_tools and not rules.holds and (declares_stream(headers) or endpoint.stream is True)
            held = not gated and (rules.holds or rules.gates_tools)
        progress.reader = reader = ResponseReader(
            endpoint,
            seen,
            status=status,
            headers=headers,
            stream=facts.stream or endpoint.stream is True,
            max_bytes=self.plane.settings.limits.held_response_bytes,
            gate=rules.check_tool if rules is not None and gated else None,
        )
        if progress.kept is not None:
            progress.kept.begin_response(
                content_type=header(headers, b"content-type"), content_encoding=header(headers, b"content-encoding")
            )
        length = header(headers, b"content-length")
        passed = client_headers(headers, decoded=gated)
        if _OK_BELOW <= status < _REDIRECT_BELOW and (progress.caller is not None or self.method not in _READING):
            passed = kept_here(passed)
        self._start = ResponseStart(
            status,
            (*passed, *self._own_headers(progress.decision)),
            int(length) if length.isdigit() and not gated else None,
        )
        if rules is None:
            self.state = State.STREAMING
            return self._start
        if reader.skipped:
            decision = rules.unreadable(reader.skipped[0][1])
            progress.response_decision = decision
            if decision.verdict is not Verdict.ALLOW:
                self._pending = self._deny_response(decision)
                self.state = State.HELD
                return Hold()
            reader.ungate()
            self.state = State.STREAMING
            return self._start
        self.state = State.HELD if held else State.STREAMING
        return _HOLD if held else self._start

    def receive_response_data(self, data: bytes) -> bytes | Cut | Respond:
        """Take a piece of the upstream's body; return what goes to the client now."""
        reader = self.progress.reader
        if reader is None:
            raise WrongStateError("response data before a response head")
        if self._secret and self._secret in data:
            data = data.replace(self._secret, b"*" * len(self._secret))
        if self.progress.kept is not None:
            self.progress.kept.take_response(data)
        try:
            if self.state is State.STREAMING:
                out = reader.feed(data)
                if reader.denied is not None:
                    return self._cut(reader.denied, out)
                return out
            self._expect(State.HELD)
            if self._pending is not None:
                return self._pending
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > self.plane.settings.limits.held_response_bytes:
                self._held.clear()
                why = "a rule reads the whole response, and it is larger than `limits.held_response_bytes`"
                return self._refuse(self._refusal(RefusalKind.POLICY, why))
            reader.feed(data)
        except Exception as error:  # noqa: BLE001 - boundary: fails closed
            return self._fault_in_response(error)
        return b""

    def receive_response_end(self) -> bytes | Cut | Respond | Replay:
        """Take the end of the upstream's body."""
        reader, start = self.progress.reader, self._start
        if reader is None or start is None:
            raise WrongStateError("response end before a response head")
        try:
            out = reader.close()
            if self.state is State.STREAMING:
                if reader.denied is not None:
                    return self._cut(reader.denied, out)
                rules = self.progress.decision.response
                if rules is not None and self.progress.response_decision is None and self.progress.status < _OK_BELOW:
                    self.progress.response_decision = rules.decide(self._response_view())
                self.state = State.DONE
                return out
            self._expect(State.HELD)
            return self._pending or self._release(reader, start)
        except Exception as error:  # noqa: BLE001 - boundary: fails closed
            return self._fault_in_response(error)

    def _release(self, reader: ResponseReader, start: ResponseStart) -> Respond | Replay:
        """Decide about a held response and let it go or refuse it."""
        rules = self.progress.decision.response
        assert rules is not None  # noqa: S101 - a response is held only for rules; narrows the type
        seen = self.progress.seen
        assert seen is not None  # noqa: S101 - set with the response's head
        why = reader.skipped[0][1] if reader.skipped else "it is not what its endpoint promises" if seen.unreadable else ""
        decision = rules.unreadable(why) if why else rules.decide(self._response_view())
        self.progress.response_decision = decision
        if decision.verdict is not Verdict.ALLOW:
            return self._deny_response(decision)
        self.state = State.DONE
        body = b"".join(self._held)
        self._held.clear()
        own = warning_headers(decision)
        return Replay(ResponseStart(start.status, (*start.headers, *own), len(body)), body)

    def _response_view(self) -> ResponseView:
        seen = self.progress.seen
        assert seen is not None  # noqa: S101 - set with the response's head
        return ResponseView(
            model=seen.model,
            finish_reasons=seen.reasons(),
            tools=tuple([call.name for call in seen.tools]) if seen.tools else (),
            text="\n".join(seen.texts),
        )

    # -- failures ---------------------------------------------------------------------------------------------------------------

    def upstream_failed(self, kind: RefusalKind, why: str) -> Respond | Cut:
        """Answer for an upstream that cannot be reached, is too slow, or broke off."""
        progress = self.progress
        progress.error_type = str(kind)
        progress.broken = True
        if self.state in {State.SENT, State.HELD}:
            return self._refuse(self._refusal(kind, why))
        reader = progress.reader
        self.state = State.DONE
        if reader is None:
            return Cut(b"", clean=False)
        tail = reader.close()
        if kind is RefusalKind.UPSTREAM_TIMEOUT and reader.framing is not Framing.WHOLE and reader.at_event_boundary:
            refusal = self._refusal(kind, why)
            progress.refusal = refusal
            endpoint = self._endpoint()
            return Cut(tail + last_event(endpoint, refusal, reader))
        # The client sees what it would have seen without a gateway: a response that breaks off.
        return Cut(tail, clean=False)

    def client_gone(self) -> None:
        """Take note that the client closed its connection before its answer was complete."""
        if self.state in {State.SENT, State.STREAMING, State.HELD}:
            self.progress.broken = True
            self.progress.error_type = self.progress.error_type or "client_closed"
            if self.progress.reader is not None:
                self.progress.reader.close()
        self.state = State.DONE

    def finished(self) -> None:
        """End the exchange: hand its progress to the recorder. Called once."""
        if self.state is State.SETTLED:
            raise WrongStateError("an exchange was finished twice")
        self.state = State.SETTLED
        self._emit(self)

    def _fault(self, error: Exception) -> Respond:
        """Turn an exception on the way in into a refusal."""
        self.progress.error_type = self.progress.error_type or error_name(error)
        return self._refuse(self._refusal(*fault(error)))

    def _fault_in_response(self, error: Exception) -> Cut | Respond:
        """Turn an exception on the way out into a refusal or a broken-off response."""
        self.progress.error_type = error_name(error)
        if self.state is State.HELD:
            self._held.clear()
            return self._refuse(
                self._refusal(RefusalKind.UNAVAILABLE, "llmcp failed to check this response and refuses what it cannot check")
            )
        self.progress.broken = True
        self.state = State.DONE
        return Cut(b"", clean=False)

    # -- answers ----------------------------------------------------------------------------------------------------------------

    def _refusal(self, kind: RefusalKind, message: str) -> Refusal:
        return Refusal(kind, f"{message} (llmcp decision {self.decision_id})", self.decision_id)

    def _refusal_of(self, decision: Decision) -> Refusal:
        return self._refusal(RefusalKind.POLICY, denial(decision))

    def _refuse(self, refusal: Refusal) -> Respond:
        """Answer the client in its dialect. The exchange is over but for its record."""
        progress = self.progress
        progress.refusal = refusal
        self.state = State.DONE
        if not progress.sent_ns:
            progress.overhead_ns = self._clock.monotonic_ns() - progress.started_ns
        respond = self._endpoint().dialect.refuse(refusal)
        return structs.replace(respond, headers=(*respond.headers, *self._own_headers(progress.decision)))

    def _deny_response(self, decision: Decision) -> Respond:
        self._held.clear()
        return self._refuse(self._refusal_of(decision))

    def _cut(self, decision: Decision, before: bytes) -> Cut:
        """End a begun stream with the dialect's own terminal error."""
        progress = self.progress
        progress.response_decision = decision
        progress.cut = True
        progress.refusal = refusal = self._refusal_of(decision)
        self.state = State.DONE
        endpoint = self._endpoint()
        return Cut(before + last_event(endpoint, refusal, progress.reader))

    def _own_headers(self, decision: Decision) -> Headers:
        own = ((b"x-llmcp-decision-id", self.decision_id.encode("ascii")), self.plane.revision_header)
        return (*own, *warning_headers(decision)) if decision.warnings else own

    # -- guards -----------------------------------------------------------------------------------------------------------------

    def _expect(self, state: State) -> None:
        if self.state is not state:
            raise WrongStateError(f"an exchange in state {self.state} was called as if it were in {state}")

    def _endpoint(self) -> Endpoint:
        if self.progress.endpoint is None:
            raise WrongStateError("an exchange was asked for its endpoint before its head was read")
        return self.progress.endpoint

    def _headers_said(self) -> HeadFacts:
        if self._said is None:
            raise WrongStateError("an exchange was asked for its headers before they were read")
        return self._said

    def _request_head(self) -> RequestHead:
        if self._head is None:
            raise WrongStateError("an exchange was asked for its head before it came")
        return self._head
