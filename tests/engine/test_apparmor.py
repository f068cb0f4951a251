"""What the AppArmor profile of containers lets them do and what not: on a host whose kernel uses it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from engine.kernel import apparmor
from tests.fixtures.asking import asked
from tests.fixtures.daemons import HavreDaemon

pytestmark = pytest.mark.skipif(not apparmor.enabled(), reason="this host's kernel does not use AppArmor")

_LABEL: Final = "cat /proc/self/attr/current"


@pytest.fixture(autouse=True)
def clean(havre: HavreDaemon) -> Iterator[None]:
    havre.docker("pull", "-q", "busybox")
    yield
    havre.remove_everything()


def test_containers_are_confined(havre: HavreDaemon) -> None:
    assert "name=apparmor" in json.loads(havre.docker("info", "--format={{json .SecurityOptions}}").stdout)
    havre.docker("run", "-d", "--name=box", "busybox", "sleep", "1000")
    for option in ("--user=0", "--user=1", "--privileged"):  # the last gives capabilities, as dockerd's does, no more
        label = havre.docker("exec", option, "box", "sh", "-c", _LABEL).stdout
        assert label == "havre-default (enforce)\n"
    assert havre.docker("inspect", "-f={{.AppArmorProfile}}", "box").stdout == "havre-default\n"
    havre.docker("stop", "-t=5", "box")  # signals come in


def test_steps_of_a_build_are_confined(havre: HavreDaemon) -> None:
    dockerfile = f"FROM busybox\nRUN {_LABEL}\n"
    assert "havre-default (enforce)" in havre.docker("build", "--no-cache", "-", stdin=dockerfile).stdout


@pytest.mark.parametrize("options", [("--privileged",), ("--security-opt=apparmor=unconfined",)])
def test_who_is_not(havre: HavreDaemon, options: tuple[str, ...]) -> None:
    assert havre.docker("run", "--name=box", *options, "busybox", "sh", "-c", _LABEL).stdout == "unconfined\n"
    assert havre.docker("inspect", "-f={{.AppArmorProfile}}", "box").stdout == "unconfined\n"


def test_what_root_may_not_do(havre: HavreDaemon) -> None:
    """Where the other locks are open: all capabilities, no filter of system calls, nothing hidden."""
    openly = ("--cap-add=ALL", "--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined")
    refused = (
        "mount -t tmpfs none /mnt",
        "echo 60 > /proc/sys/vm/swappiness",
        "echo x > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "echo f > /proc/irq/default_smp_affinity",
        "cat /proc/kcore",
        "ls /sys/kernel/security/apparmor && cat /sys/kernel/security/apparmor/profiles",
    )
    allowed = ("echo 100 > /proc/self/oom_score_adj", "touch /x && chmod 777 /x", "kill -0 1", "cat /proc/1/cmdline")
    script = "; ".join(f"({command}) >/dev/null 2>&1 && echo yes || echo no" for command in (*refused, *allowed))
    answers = havre.docker("run", "--rm", *openly, "busybox", "sh", "-c", script).stdout.split()
    assert dict(zip((*refused, *allowed), answers, strict=True)) == {
        **dict.fromkeys(refused, "no"),
        **dict.fromkeys(allowed, "yes"),
    }


def test_a_profile_of_ones_own(havre: HavreDaemon, tmp_path: Path) -> None:
    text = "profile havre-test-own flags=(attach_disconnected) { file, network, capability, deny /etc/passwd r, }\n"
    body = {"Image": "busybox", "HostConfig": {"SecurityOpt": ["apparmor=havre-test-own"]}}
    refused = asked(havre.socket, "POST", "/v1.44/containers/create", body)
    assert refused.status == 400
    assert "apparmor_parser" in refused.message
    apparmor.load(text)
    try:
        run = ("run", "--rm", "--security-opt=apparmor=havre-test-own", "busybox", "sh", "-c")
        assert havre.docker(*run, f"{_LABEL}; cat /etc/passwd", check=False).stdout == "havre-test-own (enforce)\n"
    finally:
        subprocess.run(["apparmor_parser", "--remove"], input=text, text=True, check=True)


def test_what_is_no_profile() -> None:
    with pytest.raises(OSError, match="apparmor_parser refuses: "):
        apparmor.load("profile havre-test-broken { nonsense, }")
