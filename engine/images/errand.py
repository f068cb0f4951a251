"""Work at a registry that its caller can leave at any moment."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

from engine.errors import Cancelled

T = TypeVar("T")

_POLL: Final = 0.1
_GRACE: Final = 3.0
"""Seconds that work which was cancelled may take to clean up before its caller is let go."""


class Errand(ABC, Generic[T]):
    """One pull or push. *name* says which, as in `pull of debian:latest`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stopped = threading.Event()

    def run(self, cancel: threading.Event | None) -> T:
        """Do it; `Cancelled` within moments of *cancel* being set."""
        outcome: Future[T] = Future()
        # A thread of its own, because a connection that is being made cannot be interrupted; its caller can.
        threading.Thread(target=self._settle, args=(outcome,), name=self._name[:15], daemon=True).start()
        while not wait((outcome,), timeout=_POLL).done:
            if cancel is not None and cancel.is_set() and not self._stopped.is_set():
                self.stop()
                if not wait((outcome,), timeout=_GRACE).done:
                    raise self._cancelled()
        if self._stopped.is_set() and cancel is not None and cancel.is_set() and outcome.exception():
            raise self._cancelled() from outcome.exception()
        return outcome.result()

    def stop(self) -> None:
        """Give up: `run` raises `Cancelled` soon."""
        self._stopped.set()
        self._abort()

    @abstractmethod
    def _work(self) -> T:
        """Do it, and call `_check` often."""

    @abstractmethod
    def _abort(self) -> None:
        """Wake whoever waits for the network."""

    def _settle(self, outcome: Future[T]) -> None:
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for the outcome
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise self._cancelled()

    def _cancelled(self) -> Cancelled:
        return Cancelled(f"{self._name} cancelled")
