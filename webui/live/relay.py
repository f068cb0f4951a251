"""The engines' events, once for each process: one stream per environment, for as long as somebody listens.

The stream lives in the process that serves the sockets, so that there is no further daemon to watch and no event takes
a way through Redis. It comes back by itself, and tells its listeners that they may have missed something.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils import timezone

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

logger = logging.getLogger(__name__)

Message = dict[str, str]
RESET: Message = {"type": "reset"}
AWAY: Message = {"type": "away"}
WAITING = 500
"""Messages that a listener may be behind; one that is further behind fetches everything once instead."""

_FIRST, _LONGEST = 0.5, 4.0
"""Seconds between two tries to reach an engine: one that is back shall not wait long for its pages."""
_DULL = ("exec_", "top", "resize", "attach", "detach", "archive-path", "extract-to-dir")


@dataclass
class _Stream:
    listeners: set[asyncio.Queue[Message]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class Relay:
    """One of a process: `relay` below."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    @contextmanager
    def subscribed(self, environment: Environment) -> Iterator[asyncio.Queue[Message]]:
        """A queue of what changes in *environment*, while the block runs."""
        queue: asyncio.Queue[Message] = asyncio.Queue(maxsize=WAITING)
        stream = self._streams.setdefault(environment.pk, _Stream())
        stream.listeners.add(queue)
        if stream.task is None:
            stream.task = asyncio.ensure_future(self._follow(environment, stream))
        try:
            yield queue
        finally:
            stream.listeners.discard(queue)
            if not stream.listeners:
                stream.task.cancel()
                self._streams.pop(environment.pk, None)

    async def _follow(self, environment: Environment, stream: _Stream) -> None:
        delay = _FIRST
        while True:
            try:
                async with gateway.async_client(environment) as client:
                    await client.ping()
                    # From this moment on, so that nothing falls between the reset and the first event.
                    since = timezone.now()
                    async with contextlib.aclosing(client.events(since=since)) as events:
                        _tell(stream, RESET)
                        delay = _FIRST
                        async for event in events:
                            if not event.action.startswith(_DULL):
                                _tell(stream, {"type": event.kind, "id": event.actor, "action": event.action})
            except gateway.ClientError as error:
                logger.info("events of %s: %s; again in %.1f s", environment.name, error, delay)
            except Exception:
                # The stream serves many pages, and what an engine sends is not ours to vouch for: it must come back.
                logger.exception("events of %s broke; again in %.1f s", environment.name, delay)
            _tell(stream, AWAY)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST)


def _tell(stream: _Stream, message: Message) -> None:
    for queue in stream.listeners:
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(RESET)


relay = Relay()
