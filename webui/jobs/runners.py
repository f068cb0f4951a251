"""Which function carries out which kind of job. An app registers its own when Django is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from webui.jobs import services
from webui.jobs.models import Job, JobKind

REPORT_INTERVAL = 0.4
"""Seconds between two reports of progress: quick enough to look alive, slow enough for SQLite and the sockets."""


class JobFailed(Exception):
    """The work cannot be done; the text is what the person reads."""


@dataclass
class JobRun:
    """A job in the hands of its runner: where it reports, and where it learns that it shall stop."""

    job: Job
    progress: dict[str, Any] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    _on_cancel: Callable[[], None] | None = None
    _reported: float = 0.0
    _held_back: bool = False
    """Whether there is progress that the row does not have yet."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """The heart beats on a thread of its own, and what it writes must not be older than what is there."""

    def report(self, *, force: bool = False) -> None:
        """Write `progress` to the row, at most every `REPORT_INTERVAL`; learns of a cancellation on the way.

        What comes too early is written with the next beat of the heart: the work may be silent from then on.
        """
        moment = time.monotonic()
        if not force and moment - self._reported < REPORT_INTERVAL:
            self._held_back = True
            return
        self._reported = moment
        with self._lock:
            self._held_back = False
            running = services.job_progress(job=self.job, progress=self.progress)
        if not running:
            self.cancel()

    def beat(self) -> None:
        """Tell that the work goes on; what was held back is written."""
        if self._held_back:
            self.report(force=True)
        elif not services.job_alive(job=self.job):
            self.cancel()

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """What ends the work when it is cancelled; called from another thread."""
        self._on_cancel = stop

    def cancel(self) -> None:
        if not self.cancelled.is_set():
            self.cancelled.set()
            if self._on_cancel is not None:
                self._on_cancel()


Runner = Callable[[JobRun], str]
"""Does the work and answers the sentence that tells its result.

Raises `JobFailed` with the one that tells why not, or lets the engine's own through, a `gateway.ClientError`.
"""

_RUNNERS: dict[JobKind, Runner] = {}


def register(kind: JobKind, runner: Runner) -> None:
    _RUNNERS[kind] = runner


def runner_of(kind: str) -> Runner:
    return _RUNNERS[JobKind(kind)]
