"""Who waits for what of a container: its end, its next end, its removal."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future
from typing import TypeAlias

from engine.containers.model import WaitCondition

WaitHandle: TypeAlias = "Future[tuple[int, str]]"
"""Done with the exit code and the error's text (empty for none). It can be cancelled, and awaited by asyncio."""


class Waiters:
    """Threads register and notify at will; a handle that was cancelled is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, list[tuple[WaitCondition, WaitHandle]]] = defaultdict(list)
        self._closed = False

    def register(self, container_id: str, condition: WaitCondition) -> WaitHandle:
        handle: WaitHandle = Future()
        with self._lock:
            if self._closed:
                handle.cancel()
                return handle
            waiting = self._waiting[container_id]
            waiting[:] = [each for each in waiting if not each[1].cancelled()]
            waiting.append((condition, handle))
        return handle

    def close(self) -> None:
        """The engine stops: whoever waits has to give up, now and from now on. Their handles are cancelled."""
        with self._lock:
            self._closed = True
            handles = [handle for waiting in self._waiting.values() for _, handle in waiting]
            self._waiting.clear()
        for handle in handles:
            handle.cancel()

    def ended(self, container_id: str, code: int, error: str = "") -> None:
        """The container's process has ended, or could not be started."""
        self._settle(container_id, {WaitCondition.NEXT_EXIT, WaitCondition.NOT_RUNNING}, code, error)

    def removed(self, container_id: str, code: int, error: str = "") -> None:
        """The container is gone, and with it every other thing that could be waited for."""
        self._settle(container_id, set(WaitCondition), code, error)

    def ended_for(self, handle: WaitHandle, code: int, error: str) -> None:
        """Settle one handle whose condition holds already, unless the end itself has just done so."""
        waits = False
        with self._lock:
            for container_id, waiting in tuple(self._waiting.items()):
                kept = [each for each in waiting if each[1] is not handle]
                waits = waits or len(kept) < len(waiting)
                waiting[:] = kept
                if not waiting:
                    del self._waiting[container_id]
        if waits and handle.set_running_or_notify_cancel():
            handle.set_result((code, error))

    def code(self, container_id: str) -> Future[int | None]:
        """Done with the exit code at the next end."""
        code: Future[int | None] = Future()
        self.register(container_id, WaitCondition.NEXT_EXIT).add_done_callback(
            lambda handle: code.set_result(None if handle.cancelled() else handle.result()[0])
        )
        return code

    def _settle(self, container_id: str, conditions: set[WaitCondition], code: int, error: str) -> None:
        with self._lock:
            waiting = self._waiting.pop(container_id, [])
            kept = [each for each in waiting if each[0] not in conditions and not each[1].cancelled()]
            if kept:
                self._waiting[container_id] = kept
        for condition, handle in waiting:
            if condition in conditions and handle.set_running_or_notify_cancel():
                handle.set_result((code, error))
