"""What running containers use, for lists: looked at once for all pages that show them, every few seconds.

As with events, the looking is done in the process that serves the sockets, for as long as somebody watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from webui import gateway

if TYPE_CHECKING:
    from webui.environments.models import Environment

logger = logging.getLogger(__name__)

INTERVAL: Final = 3.0
"""Seconds between two looks."""

MOST: Final = 500
"""Containers that one page may watch."""

_ABREAST: Final = 8
_BILLION: Final = 1_000_000_000

Gauge = tuple[float | None, int, int]
"""CPUs since the look before (`None` for the first one), bytes of memory, and its limit."""


@dataclass
class Watch:
    """What one page watches, and what it has not been told yet."""

    wake: asyncio.Event
    ids: frozenset[str] = frozenset()
    news: asyncio.Queue[dict[str, Gauge]] = field(default_factory=lambda: asyncio.Queue(maxsize=1))

    def choose(self, ids: frozenset[str]) -> None:
        """Watch *ids* from now on: the next look comes at once."""
        self.ids = ids
        self.wake.set()


@dataclass
class _Round:
    watches: list[Watch] = field(default_factory=list)
    before: dict[str, gateway.UsageSample] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Gauges:
    """One of a process: `gauges` below."""

    def __init__(self) -> None:
        self._rounds: dict[int, _Round] = {}

    @contextmanager
    def watching(self, environment: Environment) -> Iterator[Watch]:
        """A watch in *environment*, while the block runs."""
        found = self._rounds.setdefault(environment.pk, _Round())
        watch = Watch(found.wake)
        found.watches.append(watch)
        if found.task is None:
            found.task = asyncio.ensure_future(self._look_around(environment, found))
        try:
            yield watch
        finally:
            found.watches.remove(watch)
            if not found.watches:
                found.task.cancel()
                self._rounds.pop(environment.pk, None)

    async def _look_around(self, environment: Environment, found: _Round) -> None:
        while True:
            try:
                async with gateway.async_client(environment) as client:
                    while True:
                        await self._look(client, found)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(INTERVAL):
                                await found.wake.wait()
                        found.wake.clear()
            except gateway.ClientError as error:
                logger.info("usage in %s: %s", environment.name, error)
            except Exception:
                logger.exception("looking at the usage in %s broke", environment.name)
            await asyncio.sleep(INTERVAL)

    async def _look(self, client: gateway.AsyncClient, found: _Round) -> None:
        wanted = frozenset[str]().union(*(watch.ids for watch in found.watches))
        abreast = asyncio.Semaphore(_ABREAST)

        async def look(container: str) -> gateway.UsageSample | None:
            async with abreast:
                try:
                    return await client.usage(container)
                except gateway.NotFound:
                    return None

        samples = dict(zip(wanted, await asyncio.gather(*map(look, wanted)), strict=True))
        now = {container: sample for container, sample in samples.items() if sample is not None and sample.at}
        gauges = {container: _gauge(sample, found.before.get(container)) for container, sample in now.items()}
        found.before = now
        for watch in found.watches:
            mine = {container: gauges[container] for container in watch.ids if container in gauges}
            if mine:
                _put(watch.news, mine)


def _gauge(sample: gateway.UsageSample, before: gateway.UsageSample | None) -> Gauge:
    cpu = None
    if before is not None and sample.at and before.at and sample.at > before.at:
        seconds = (sample.at - before.at).total_seconds()
        cpu = max(0.0, (sample.cpu_time - before.cpu_time) / _BILLION / seconds)
    return cpu if cpu is None else round(cpu, 4), sample.memory, sample.memory_limit


def _put(queue: asyncio.Queue[dict[str, Gauge]], news: dict[str, Gauge]) -> None:
    # A page that is behind gets the newest, not all that it has missed.
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(news)


gauges = Gauges()
