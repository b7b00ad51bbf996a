"""What a thread answers reaches its client, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from llmcp.core.http import RequestHead, Respond
from llmcp.runtime.exchange_port import Later, serve_handler
from shells.gateway_support import LOOPS, rig, run

GET = b"GET /%s HTTP/1.1\r\nhost: a\r\n\r\n"
LAST = b"GET /%s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


class Desk:
    """Hands out answers that a test gives when it likes; `/now` is answered at once."""

    def __init__(self) -> None:
        self.waiting: dict[str, Future[Respond]] = {}

    def __call__(self, head: RequestHead, _body: bytes) -> Respond | Later:
        """Answer, or promise to."""
        if head.target == "/now":
            return Respond(200, (), b"at once")
        future: Future[Respond] = Future()
        self.waiting[head.target] = future
        return Later(future)

    def give(self, target: str, answer: Respond | Exception) -> None:
        """Bring an answer, as a thread would."""
        future = self.waiting[target]
        future.set_running_or_notify_cancel()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


@pytest.mark.parametrize("loop_kind", LOOPS)
def test_an_answer_that_comes_later_holds_nobody_else_up(loop_kind: str) -> None:
    """Another client is served while the first one waits; what was pipelined behind it comes in order."""

    async def scenario() -> None:
        desk = Desk()
        async with rig(open_exchange=serve_handler(desk)) as r:
            slow = asyncio.create_task(r.ask(GET % b"one" + LAST % b"now"))
            await r.until(lambda: "/one" in desk.waiting)
            assert (await r.ask(LAST % b"now")).endswith(b"at once")
            assert not slow.done()
            desk.give("/one", Respond(200, (), b"later"))
            answer = await slow
            assert answer.index(b"later") < answer.index(b"at once")
            assert not r.bugs

    run(loop_kind, scenario())


@pytest.mark.parametrize("loop_kind", LOOPS)
def test_a_thread_that_fails_is_a_bug_and_the_client_hears_503(loop_kind: str) -> None:
    """As with every exception out of an exchange."""

    async def scenario() -> None:
        desk = Desk()
        async with rig(open_exchange=serve_handler(desk)) as r:
            asked = asyncio.create_task(r.ask(GET % b"one"))
            await r.until(lambda: "/one" in desk.waiting)
            desk.give("/one", ZeroDivisionError("a marker"))
            answer = await asked
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"a marker" not in answer
            assert [type(bug) for bug in r.bugs] == [ZeroDivisionError]

    run(loop_kind, scenario())


@pytest.mark.parametrize("loop_kind", LOOPS)
def test_a_client_that_leaves_cancels_what_has_not_begun(loop_kind: str) -> None:
    """And an answer that comes all the same harms nobody."""

    async def scenario() -> None:
        desk = Desk()
        async with rig(open_exchange=serve_handler(desk)) as r:
            for name in (b"one", b"two"):
                _, writer = await asyncio.open_connection("127.0.0.1", r.port)
                writer.write(GET % name)
                await r.until(lambda name=name: f"/{name.decode()}" in desk.waiting)
                if name == b"two":
                    desk.waiting["/two"].set_running_or_notify_cancel()
                writer.transport.abort()
            await r.until(lambda: r.gateway.open_connections == 0)
            assert desk.waiting["/one"].cancelled()
            desk.waiting["/two"].set_result(Respond(200, (), b"too late"))
            assert (await r.ask(LAST % b"now")).endswith(b"at once")
            assert not r.bugs

    run(loop_kind, scenario())
