"""Warnings about what is found again every few seconds, and told once."""

from __future__ import annotations

import logging
import threading
from typing import Final

_MOST: Final = 1000
"""Different warnings that are remembered: a store may have any number of different faults."""


class Said:
    """Any thread may call it."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def once(self, text: str) -> None:
        """Warn of it, unless that has been done."""
        with self._lock:
            new = text not in self._told
            if len(self._told) >= _MOST:
                self._told.clear()
            self._told.add(text)
        if new:
            self._log.warning("%s", text)
