"""The engines' events, once for each process: one stream per environment, for as long as somebody listens.

The stream lives in the process that serves the sockets, so that there is no further daemon to watch and no event takes
a way through Redis. It comes back by itself, and tells its listeners that they may have missed something.

A page is made before its socket opens. What has happened in between is kept here, or asked of the engine, and is told
to it first.
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
"""Something may have been missed."""
AWAY: Message = {"type": "away"}
WAITING = 500
"""Messages that a listener may be behind; one that is further behind fetches everything once instead."""
KEPT = 200
"""Messages that are kept for pages whose sockets open soon."""
OLDEST = 60.0
"""Seconds that such a page may be old. An older one, such as the back button brings, fetches everything once."""

_FIRST, _LONGEST = 0.5, 4.0
"""Seconds between two tries to reach an engine: one that is back shall not wait long for its pages."""
_DULL = ("exec_", "top", "resize", "attach", "detach", "archive-path", "extract-to-dir")


@dataclass
class _Stream:
    listeners: set[asyncio.Queue[Message]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    kept: deque[tuple[float, Message]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """The last messages and when they came. Times are this process's, in seconds since the epoch."""
    whole_since: float = math.inf
    """Nothing is missing among the kept ones that came later; never true while the engine is not heard."""
    wanted_since: float = math.inf
    """From when on those want to hear who came while the engine was not heard."""

    def keep(self, message: Message) -> None:
        if len(self.kept) == KEPT:
            self.whole_since = self.kept[0][0]
        self.kept.append((time.time(), message))

    def since(self, moment: float) -> list[Message]:
        """What a listener is told first whose page was asked for at *moment*."""
        if time.time() - moment > OLDEST:
            return [RESET]
        if self.whole_since == math.inf:
            self.wanted_since = min(self.wanted_since, moment)
            return []
        if moment < self.whole_since:
            return [RESET]
        return [message for at, message in self.kept if at >= moment]


class Relay:
    """One of a process: `relay` below."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    @contextmanager
    def subscribed(self, environment: Environment, *, since: float = math.inf) -> Iterator[asyncio.Queue[Message]]:
        """A queue of what has changed in *environment* since then, and of what changes while the block runs."""
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
        delay, away = _FIRST, False
        while True:
            try:
                async with gateway.async_client(environment) as client:
                    await client.ping()
                    since = min(time.time(), stream.wanted_since)
                    moment = dt.datetime.fromtimestamp(since, dt.UTC)
                    async with contextlib.aclosing(client.events(since=moment)) as events:
                        stream.kept.clear()
                        stream.whole_since, stream.wanted_since = since, math.inf
                        if away:
                            _tell(stream, RESET)
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
            stream.whole_since, away = math.inf, True
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
