"""Holds a streamed answer back while its reader is slow.

Daphne takes whatever an application sends and keeps in memory what the browser has not read yet: somebody who saves an
image of 10 GB over a slow line would have the web process hold 10 GB. Twisted, below it, knows when a connection has
enough: it asks whoever is registered as the producer to pause. Here that is heard, and `send` waits.

Servers other than daphne wait by themselves, and are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from daphne.http_protocol import WebRequest
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class Paced:
    """An ASGI application whose streamed answers keep the pace of those who read them."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        request = _request_of(send) if scope["type"] == "http" else None
        await self.application(scope, receive, _paced(request, send) if request is not None else send)


@implementer(IPushProducer)
class _Gate:
    """Open while the connection takes more; what Twisted calls a push producer."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    async def passed(self) -> None:
        await self._open.wait()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's names
        self._open.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        self._open.set()

    def stopProducing(self) -> None:  # noqa: N802
        # The connection is gone. Whoever waits here is cancelled when the application hears of that, as Django does.
        self._open.clear()


def _request_of(send: Send) -> WebRequest | None:
    """The request that daphne's `send` answers: it is bound to it."""
    bound = getattr(send, "args", ())
    return bound[0] if bound and isinstance(bound[0], WebRequest) else None


def _paced(request: WebRequest, send: Send) -> Send:
    gate: _Gate | None = None

    async def paced(message: Message) -> None:
        nonlocal gate
        more = message["type"] == "http.response.body" and message.get("more_body", False)
        if more and gate is None and request.channel is not None:
            gate = _Gate()
            request.registerProducer(gate, True)
        elif gate is not None and not more:
            if request.channel is not None:
                request.unregisterProducer()
            gate = None
        await send(message)
        if gate is not None:
            await gate.passed()

    return paced
