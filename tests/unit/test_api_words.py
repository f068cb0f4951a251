"""Ages, sizes and states in Docker's words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.api import words
from engine.containers.model import State, Status

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (0, "Less than a second"),
        (SECOND - 1, "Less than a second"),
        (SECOND, "1 second"),
        (45 * SECOND, "45 seconds"),
        (60 * SECOND, "About a minute"),
        (119 * SECOND, "About a minute"),
        (120 * SECOND, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (60 * MINUTE, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_those_of_go_units(age: int, text: str) -> None:
    assert words.duration(age) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1_984_172, "1.984MB"), (65_000_000, "65MB"), (3e12, "3TB")],
)
def test_sizes_have_four_digits(amount: float, text: str) -> None:
    assert words.size(amount) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_at=0), "Up 5 seconds"),
        (State(status=Status.PAUSED, started_at=0), "Up 5 seconds (Paused)"),
        (State(status=Status.EXITED, started_at=0, finished_at=3 * SECOND, exit_code=3), "Exited (3) 2 seconds ago"),
        (
            State(status=Status.RESTARTING, started_at=0, finished_at=4 * SECOND, exit_code=1),
            "Restarting (1) 1 second ago",
        ),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (State(status=Status.DEAD), "Dead"),
    ],
)
def test_states(state: State, text: str) -> None:
    started = None if state.started_at is None else DAY + state.started_at
    finished = None if state.finished_at is None else DAY + state.finished_at
    assert words.status(replace(state, started_at=started, finished_at=finished), now=DAY + 5 * SECOND) == text


def test_a_progress_bar_is_fifty_wide() -> None:
    bar = words.progress_bar(500_000, 1_000_000)
    assert bar == "[" + "=" * 25 + ">" + " " * 25 + "]    500kB/1MB"
    assert words.progress_bar(0, 0) == ""
    assert words.progress_bar(2_000, 0) == "     2kB"
