"""A thread for what the kernel takes its time with and nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="aside")
"""It is there already: to wait until a new one runs takes longer than what is asked of it."""


def aside(work: Callable[[], None]) -> None:
    """Have *work*, which must not raise, done soon; one after the other."""
    _THREAD.submit(work)
