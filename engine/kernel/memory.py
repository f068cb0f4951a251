"""How the C library keeps this process's memory."""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8


def limit_arenas(count: int) -> None:
    """Let all threads share at most *count* heaps (mallopt(3), `M_ARENA_MAX`); call it before there are threads.

    Only glibc has one for each thread, up to eight a core. Another C library is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, count)
