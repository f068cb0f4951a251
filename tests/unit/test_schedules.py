"""Schedules on a thread of the worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery
from celery.worker import state

from tests.fixtures.processes import wait_until
from webui.celery import app
from webui.schedules import Beat, Schedules


@pytest.fixture
def small(tmp_path: Path) -> Celery:
    """An application with a broker in memory and one task, due ten times a second."""
    made = Celery("small", broker="memory://", set_as_current=False)
    # Brokers in memory are one in a process: other tests leave their tasks in the usual queue.
    made.conf.task_default_queue = "small"
    made.conf.beat_schedule_filename = str(tmp_path / "schedule")
    made.conf.beat_schedule = {"often": {"task": "small.task", "schedule": 0.1}}
    return made


def test_workers_have_the_option() -> None:
    assert Schedules in app.steps["worker"]
    assert any("--schedules" in option.opts for option in app.user_options["worker"])


def test_tasks_are_sent_until_it_stops(small: Celery) -> None:
    beat = Beat(small)
    beat.start()
    with small.connection() as connection:
        queue = connection.SimpleQueue("small")
        assert queue.get(timeout=10).headers["task"] == "small.task"
        queue.close()
    beat.stop()
    beat.join(timeout=10)
    assert not beat.is_alive()


def test_a_worker_stops_when_its_schedules_fail(small: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "should_stop", None)
    small.conf.beat_schedule_filename = str(tmp_path / "no" / "directory")
    beat = Beat(small)
    beat.start()
    wait_until(lambda: state.should_stop, what="the worker to be told")
    beat.join(timeout=10)
