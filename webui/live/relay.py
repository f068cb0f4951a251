"""The engines' events, once for each process: one stream per environment, for as long as somebody listens.

The stream lives in the process that serves the sockets, so that there is no further daemon to watch and no event takes
a way through Redis. It comes back by itself, and tells its listeners that they may have missed something.

A page is made before its socket opens: what happened in between is told to it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

logger = logging.getLogger(__name__)

Message = dict[str, str]
RESET: Message = {"type": "reset"}
"""The stream begins, or begins again."""
MISSED: Message = {"type": "reset", "missed": "yes"}
"""The same, to one that has surely missed something."""
AWAY: Message = {"type": "away"}
WAITING = 500
"""Messages that a listener may be behind; one that is further behind fetches everything once instead."""
KEPT = 200
"""Messages that are kept for pages whose sockets open soon."""

_FIRST, _LONGEST = 0.5, 4.0
"""Seconds between two tries to reach an engine: one that is back shall not wait long for its pages."""
_DULL = ("exec_", "top", "resize", "attach", "detach", "archive-path", "extract-to-dir")


@dataclass
class _Stream:
    listeners: set[asyncio.Queue[Message]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    kept: deque[tuple[float, Message]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """The last messages, with the time at which they came (seconds since the epoch, like all of them here)."""
    whole_since: float = math.inf
    """From when on nothing is missing among the kept ones; never, while the engine has not been reached."""
    wanted_since: float = math.inf
    """From when on a listener wants to hear, who came before the engine was reached."""

    def keep(self, message: Message) -> None:
        if len(self.kept) == KEPT:
            self.whole_since = self.kept[0][0]
        self.kept.append((time.time(), message))

    def since(self, moment: float) -> list[Message]:
        """What a listener must be told first whose page was made at *moment*."""
        if self.whole_since == math.inf:
            self.wanted_since = min(self.wanted_since, moment)
            return []
        if moment < self.whole_since:
            return [MISSED]
        return [message for at, message in self.kept if at >= moment]


class Relay:
    """One of a process: `relay` below."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    @contextmanager
    def subscribed(self, environment: Environment, *, since: float = math.inf) -> Iterator[asyncio.Queue[Message]]:
        """A queue of what changes in *environment*, while the block runs, and of what has changed *since*."""
        queue: asyncio.Queue[Message] = asyncio.Queue(maxsize=WAITING)
        stream = self._streams.setdefault(environment.pk, _Stream())
        for message in stream.since(since):
            queue.put_nowait(message)
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
                    # From a moment on, so that nothing falls between the reset and the first event.
                    since = min(time.time(), stream.wanted_since)
                    stream.kept.clear()
                    moment = dt.datetime.fromtimestamp(since, dt.UTC)
                    async with contextlib.aclosing(client.events(since=moment)) as events:
                        _tell(stream, MISSED if stream.wanted_since < since else RESET)
                        stream.whole_since, stream.wanted_since = since, math.inf
                        delay = _FIRST
                        async for event in events:
                            if not event.action.startswith(_DULL):
                                message = {"type": event.kind, "id": event.actor, "action": event.action}
                                stream.keep(message)
                                _tell(stream, message)
            except gateway.ClientError as error:
                logger.info("events of %s: %s; again in %.1f s", environment.name, error, delay)
            except Exception:
                # The stream serves many pages, and what an engine sends is not ours to vouch for: it must come back.
                logger.exception("events of %s broke; again in %.1f s", environment.name, delay)
            stream.whole_since = math.inf
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
            queue.put_nowait(MISSED)


relay = Relay()
