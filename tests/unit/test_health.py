"""What looks at a container's health make of it, and when the next one is due."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from engine.containers.autopsy import Death
from engine.containers.health import SECOND, delay, judged
from engine.containers.model import Container, Health, HealthResult, HealthStatus, State, Status
from engine.containers.options import ContainerConfig, HostConfig
from engine.images.model import HealthCheck
from engine.types import Digest, new_id

CHECK = HealthCheck(test=("CMD", "true"), interval=10 * SECOND, start_period=30 * SECOND, retries=2)
STARTED = 1_000 * SECOND


def result(code: int, *, after: int) -> HealthResult:
    return HealthResult(start=STARTED + after * SECOND, end=STARTED + after * SECOND, exit_code=code)


def judge(*results: HealthResult, check: HealthCheck = CHECK) -> Health:
    health = Health()
    for each in results:
        health = judged(health, each, check=check, started=STARTED)
    return health


def test_failures_while_it_comes_up_do_not_count() -> None:
    health = judge(*(result(1, after=second) for second in (5, 15, 25)))
    assert (health.status, health.failing_streak) == (HealthStatus.STARTING, 0)
    health = judge(result(1, after=5), result(1, after=35), result(1, after=45))
    assert (health.status, health.failing_streak) == (HealthStatus.UNHEALTHY, 2)


def test_a_success_ends_the_start() -> None:
    health = judge(result(0, after=1), result(1, after=2), result(1, after=3))
    assert health.status is HealthStatus.UNHEALTHY
    assert judge(result(0, after=1), result(1, after=2)).status is HealthStatus.HEALTHY
    assert judge(result(1, after=40), result(1, after=50), result(0, after=60)) == replace(
        judge(result(0, after=60)), log=(result(1, after=40), result(1, after=50), result(0, after=60))
    )


def test_five_results_are_kept() -> None:
    health = judge(*(result(0, after=second) for second in range(9)))
    assert [each.start for each in health.log] == [STARTED + second * SECOND for second in range(4, 9)]


@pytest.mark.parametrize(
    ("health", "age", "seconds"),
    [
        (Health(), 1, 5),  # coming up: Docker's start interval
        (Health(), 31, 10),
        (Health(status=HealthStatus.HEALTHY), 1, 10),
    ],
)
def test_the_next_look(health: Health, age: int, seconds: int) -> None:
    assert delay(checked(CHECK, health), STARTED + age * SECOND) == seconds


def test_the_longest_interval_is_one_that_a_thread_can_wait_for() -> None:
    seconds = delay(checked(replace(CHECK, interval=(1 << 63) - 1), Health()), STARTED + 60 * SECOND)
    assert 0 < seconds + time.monotonic() < threading.TIMEOUT_MAX


def checked(check: HealthCheck, health: Health) -> Container:
    return Container(
        id=new_id(),
        name="box",
        image=Digest.of(b""),
        created=STARTED,
        config=ContainerConfig(image="box", health=check),
        host=HostConfig(),
        state=State(status=Status.RUNNING, started_at=STARTED, health=health),
        path="true",
        args=(),
        raw_config={},
        raw_host_config={},
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"exit_code": 0}, "done its work"),
        ({"exit_code": 3}, "ended by itself with 3"),
        ({"exit_code": 127}, "a command was not found"),
        ({"exit_code": 137, "signal": "SIGKILL"}, "which this engine did not send"),
        ({"exit_code": 137, "asked": "stop with SIGTERM"}, "Somebody asked for it (stop with SIGTERM)"),
        ({"exit_code": 137, "oom_killed": True, "memory_limit": 64 << 20, "asked": "x"}, "its limit of 64 MiB"),
        ({"exit_code": 0, "oom_kills": 1}, "done its work"),  # a child was killed, and it went on
        ({"exit_code": 1, "error": "its monitor was killed"}, "its monitor was killed"),
    ],
)
def test_the_verdict_names_the_likeliest_reason(facts: dict[str, object], words: str) -> None:
    death = Death(container_id="c", name="n", image="i", command=("x",), started_at=1, finished_at=2, **facts)  # type: ignore[arg-type]
    assert words in death.verdict
