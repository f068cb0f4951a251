"""The threads in which the API runs the engine's blocking calls.

Quick calls (look up, list, create), patient ones (start, stop, remove), pulls, and transfers have threads of their own,
so that a hundred stops that wait for their grace period never keep a list waiting, and a hundred clients that neither
send nor read never keep a container from being stopped. Waits, attachments, logs that follow and events need no thread
at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

QUICK: Final = 12
PATIENT: Final = 96
PULLS: Final = 24
TRANSFERS: Final = 64


class Workers:
    """Thread pools; threads are made when first needed."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(QUICK, thread_name_prefix="api-quick")
        self._patient = ThreadPoolExecutor(PATIENT, thread_name_prefix="api-patient")
        self._pulls = ThreadPoolExecutor(PULLS, thread_name_prefix="api-pull")
        self._transfers = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="api-transfer")

    async def quick(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that takes milliseconds."""
        return await asyncio.get_running_loop().run_in_executor(self._quick, partial(function, *args, **kwargs))

    async def patient(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that may take seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._patient, partial(function, *args, **kwargs))

    async def pull(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that talks to a registry."""
        return await asyncio.get_running_loop().run_in_executor(self._pulls, partial(function, *args, **kwargs))

    async def transfer(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that goes on as slowly as its client sends or reads: an archive's, a build."""
        return await asyncio.get_running_loop().run_in_executor(self._transfers, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Take no more work; calls that are queued are dropped, those that run are waited for."""
        for pool in (self._quick, self._patient, self._pulls, self._transfers):
            pool.shutdown(wait=True, cancel_futures=True)


async def kept(work: Awaitable[T], *, let_go: Callable[[T], object]) -> T:
    """The result of *work*, which goes on when the client leaves in the meantime: what it gives then is let go."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(lambda done: done.cancelled() or done.exception() or let_go(done.result()))
        raise
