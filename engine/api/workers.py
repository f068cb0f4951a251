"""The threads in which the API runs the engine's blocking calls.

Quick calls (look up, list, create) and patient ones (start, stop, remove, pull) have threads of their own, so that a
hundred stops that wait for their grace period never keep a list waiting. Waits, attachments, logs that follow and
events need no thread at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

QUICK: Final = 12
PATIENT: Final = 96
PULLS: Final = 24


class Workers:
    """Thread pools; threads are made when first needed."""

    def __init__(self) -> None:
        self._quick = ThreadPoolExecutor(QUICK, thread_name_prefix="api-quick")
        self._patient = ThreadPoolExecutor(PATIENT, thread_name_prefix="api-patient")
        self._pulls = ThreadPoolExecutor(PULLS, thread_name_prefix="api-pull")

    async def quick(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that takes milliseconds."""
        return await asyncio.get_running_loop().run_in_executor(self._quick, partial(function, *args, **kwargs))

    async def patient(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that may take seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._patient, partial(function, *args, **kwargs))

    async def pull(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that talks to a registry."""
        return await asyncio.get_running_loop().run_in_executor(self._pulls, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Take no more work; calls that are queued are dropped, those that run are waited for."""
        for pool in (self._quick, self._patient, self._pulls):
            pool.shutdown(wait=True, cancel_futures=True)
