"""Schedules within a worker: `celery … worker --schedules`, for one worker of an installation.

A beat of its own is another interpreter with all of Django in it, for a few tasks. Celery's own `-B` forks a process
from a worker of threads, which goes on when the worker is killed; here it is a thread, and ends with it.
"""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any

from celery import Celery, bootsteps
from celery.beat import Service
from celery.worker import state
from click import Option

_LOG = logging.getLogger(__name__)
_STEP = 1
"""Seconds between two looks at whether to stop."""


class Beat(Thread):
    """Celery's beat on a thread. A worker whose beat has failed stops, to be started anew."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="beat", daemon=True)
        self._app = app
        self._service = Service(app, max_interval=_STEP, remote_control=False)

    def run(self) -> None:
        self._app.set_current()
        try:
            self._service.start()
        except Exception:  # noqa: BLE001 - whatever it was, a worker without schedules must not go on unnoticed
            _LOG.exception("the schedules have failed: the worker stops")
            state.should_stop = 1

    def stop(self) -> None:
        self._service.stop(wait=True)


class Schedules(bootsteps.StartStopStep):
    """The worker's part (Celery, "Extensions and Bootsteps")."""

    def __init__(self, worker: Any, schedules: bool = False, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = schedules

    def create(self, worker: Any) -> Beat:
        return Beat(worker.app)


def install(app: Celery) -> None:
    """Give *app*'s workers the option."""
    app.user_options["worker"].add(Option(("--schedules",), is_flag=True, help="Run the schedules too, on a thread."))
    app.steps["worker"].add(Schedules)
