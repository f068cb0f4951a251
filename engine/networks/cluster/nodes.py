"""Which nodes of the cluster live, by this host's own steady clock.

A node's word is a mark in the store that changes; when it last changed is measured here. So neither a host whose clock
is wrong nor a store whose clock is set makes a living node look dead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Nodes:
    """One thread at a time may call it. *clock* gives seconds that never jump."""

    def __init__(self, *, silent: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent = silent
        self._clock = clock
        self._marks: dict[str, float] = {}
        self._changed: dict[str, float] = {}

    def hear(self, marks: Mapping[str, float], *, now: float) -> None:
        """What the store has of each node: seconds of its own clock, which says *now*.

        Only of a node that is seen for the first time is the store's clock believed: whether it is silent, not since
        when.
        """
        at = self._clock()
        for node, mark in marks.items():
            if node not in self._marks:
                self._changed[node] = at - (self._silent if now - mark > self._silent else 0)
            elif mark != self._marks[node]:
                self._changed[node] = at
        self._changed = {node: changed for node, changed in self._changed.items() if node in marks}
        self._marks = dict(marks)

    def heard(self) -> frozenset[str]:
        """The nodes that have told of themselves lately."""
        at = self._clock()
        return frozenset(node for node, changed in self._changed.items() if at - changed < self._silent)

    def lost(self, *, since: float) -> frozenset[str]:
        """The nodes that have been silent for *since* seconds."""
        at = self._clock()
        return frozenset(node for node, changed in self._changed.items() if at - changed >= since)
