"""Restart policies, and what people do against them: Havre and dockerd alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.processes import wait_until

pytestmark = pytest.mark.usefixtures("clean")

QUIET = "--network=none"


def inspected(daemon: Daemon, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(daemon.docker("inspect", name).stdout)[0]
    return document


def status(daemon: Daemon, name: str) -> str:
    return str(inspected(daemon, name)["State"]["Status"])


def lives(daemon: Daemon, name: str) -> int:
    return daemon.docker("logs", name).stdout.count("life\n")


def running(daemon: Daemon) -> set[str]:
    return set(daemon.docker("ps", "--format={{.Names}}").stdout.split())


@pytest.mark.parametrize(
    ("policy", "code", "count"), [("on-failure:2", 3, 3), ("on-failure:2", 0, 1), ("on-failure", 0, 1), ("no", 3, 1)]
)
def test_how_often(daemon: Daemon, policy: str, code: int, count: int) -> None:
    script = f"echo life; exit {code}"
    daemon.docker("run", "-d", QUIET, "--name=box", f"--restart={policy}", "busybox", "sh", "-c", script)
    wait_until(lambda: status(daemon, "box") == "exited")
    found = inspected(daemon, "box")
    assert (lives(daemon, "box"), found["RestartCount"], found["State"]["ExitCode"]) == (count, count - 1, code)


def test_a_start_by_hand_counts_anew(daemon: Daemon) -> None:
    script = "echo life; exit 1"
    daemon.docker("run", "-d", QUIET, "--name=box", "--restart=on-failure:1", "busybox", "sh", "-c", script)
    wait_until(lambda: status(daemon, "box") == "exited")
    daemon.docker("start", "box")
    wait_until(lambda: lives(daemon, "box") == 4)
    wait_until(lambda: status(daemon, "box") == "exited")
    assert inspected(daemon, "box")["RestartCount"] == 1


def test_a_policy_that_is_changed_while_it_restarts(daemon: Daemon) -> None:
    daemon.docker("run", "-d", QUIET, "--name=box", "--restart=always", "busybox", "sh", "-c", "echo life; sleep 0.2")
    wait_until(lambda: lives(daemon, "box") > 1)
    daemon.docker("update", "--restart=no", "box")
    wait_until(lambda: status(daemon, "box") == "exited")
    count = lives(daemon, "box")
    daemon.docker("update", "--restart=on-failure:5", "box")
    assert inspected(daemon, "box")["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    assert (status(daemon, "box"), lives(daemon, "box")) == ("exited", count)


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_what_is_ended_by_hand_stays_ended(daemon: Daemon, verb: str) -> None:
    daemon.docker("run", "-d", QUIET, "--name=box", "--restart=always", "busybox", "sh", "-c", "echo life; sleep 1000")
    wait_until(lambda: lives(daemon, "box") == 1)
    daemon.docker(verb, *(("-t", "0") if verb == "stop" else ()), "box")
    wait_until(lambda: status(daemon, "box") == "exited")
    # What ended by itself at that moment is begun again after 0.1 s.
    daemon.docker("run", "-d", QUIET, "--name=mark", "--restart=on-failure:2", "busybox", "false")
    wait_until(lambda: inspected(daemon, "mark")["RestartCount"] == 2)
    assert (status(daemon, "box"), lives(daemon, "box")) == ("exited", 1)


def test_what_dies_of_a_signal_of_its_own_is_begun_again(daemon: Daemon) -> None:
    script = "echo life; test -f /again || { touch /again; kill -9 $$; }; sleep 1000"
    options = (QUIET, "--init", "--restart=on-failure")
    daemon.docker("run", "-d", "--name=box", *options, "busybox", "sh", "-c", script)
    wait_until(lambda: lives(daemon, "box") == 2)
    found = inspected(daemon, "box")
    assert (found["State"]["Status"], found["RestartCount"]) == ("running", 1)


def test_a_signal_that_ends_a_paused_one_thaws_it(daemon: Daemon) -> None:
    script = "trap 'exit 9' TERM; echo life; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", QUIET, "--name=box", "busybox", "sh", "-c", script)
    wait_until(lambda: lives(daemon, "box") == 1)
    daemon.docker("pause", "box")
    daemon.docker("kill", "-s", "TERM", "box")
    wait_until(lambda: status(daemon, "box") == "exited")
    assert inspected(daemon, "box")["State"]["ExitCode"] == 9


@pytest.mark.slow
def test_who_runs_after_the_daemon_has_begun_anew(daemon: Daemon) -> None:
    """Of on-failure dockerd starts those as well that were stopped by hand, against its own documentation."""
    for policy in ("always", "unless-stopped"):
        for name in (f"{policy}-stopped", f"{policy}-made", policy):
            verb = ("create",) if name.endswith("made") else ("run", "-d")
            daemon.docker(*verb, QUIET, f"--name={name}", f"--restart={policy}", "busybox", "sleep", "1000")
        daemon.docker("stop", "-t", "0", f"{policy}-stopped")
    daemon.restart()
    wanted = {"always", "always-stopped", "unless-stopped"}
    wait_until(lambda: running(daemon) >= wanted, seconds=30)
    assert running(daemon) == wanted
    for name in ("always-made", "unless-stopped-made"):
        assert status(daemon, name) == "created"
