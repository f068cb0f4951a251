"""A pull, push or load that runs at an endpoint: its lines as they come, and a way to stop it from any thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import requests

from engine.client import errors, parse
from engine.client.model import PullEvent


class Rows:
    """The lines of an answer, JSON objects, as they come; a context manager that ends the work when the block ends.

    `close()` may be called by any thread, also while another waits for the next line: the connection breaks, the
    endpoint stops, and the iteration just ends.
    """

    def __init__(self, response: requests.Response, *, endpoint: str) -> None:
        self._response = response
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._closed = False
        self._lines: Iterator[Any] = response.iter_lines(chunk_size=None)

    def __iter__(self) -> Self:
        return self

    def close(self) -> None:
        """Stop the work, if it still runs. It may be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                # Only a shutdown wakes a thread that is reading; that thread releases the connection.
                self._response.raw.shutdown()
            except (OSError, ValueError, RuntimeError):
                return  # the answer has ended by itself

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._release()

    def row(self) -> dict[str, Any]:
        """The next line; `StopIteration` at the end."""
        try:
            return self._row()
        except BaseException:
            self._release()
            raise

    def _row(self) -> dict[str, Any]:
        if self._closed:
            raise StopIteration
        try:
            with errors.translated(self._endpoint):
                line = next(text for text in self._lines if text.strip())
        except errors.Unreachable:
            if self._closed:
                raise StopIteration from None
            raise
        if self._closed:
            raise StopIteration
        row: dict[str, Any] = json.loads(line)
        return row

    def _release(self) -> None:
        with self._lock:
            self._closed = True
        self._response.close()


class Pull(Rows):
    """An iterator of `PullEvent`. Iterating raises the endpoint's own error when the work fails."""

    def __next__(self) -> PullEvent:
        row = self.row()
        raise_failure(row, self.close)
        return parse.pull_event(row)


def raise_failure(row: Mapping[str, Any], close: Callable[[], None]) -> None:
    """Raise what *row* says has failed, if it says so, after *close*."""
    if (failure := row.get("errorDetail") or row.get("error")) is not None:
        close()
        text = failure.get("message", "") if isinstance(failure, dict) else str(failure)
        raise errors.from_status(_status_of(text), text)


def _status_of(text: str) -> int:
    """A failure in mid-stream carries words only; give those that people meet every day their status back."""
    lowered = text.lower()
    if "not found" in lowered or "manifest unknown" in lowered or "does not exist" in lowered:
        return 404
    if "unauthorized" in lowered or "denied" in lowered or "authentication required" in lowered:
        return 403
    return 500
