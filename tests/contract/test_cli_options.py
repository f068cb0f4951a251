"""The docker CLI's options of run, create and update, seen from inside the container: Havre and dockerd alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.processes import wait_until

pytestmark = pytest.mark.usefixtures("clean")


def inspected(daemon: Daemon, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(daemon.docker("inspect", name).stdout)[0]
    return document


def run(daemon: Daemon, *arguments: str) -> str:
    return daemon.docker("run", "--rm", *arguments).stdout


# --- namespaces that are shared


def test_the_network_of_another(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo found > /i; httpd -f -p 8099 -h /")
    script = "for i in 1 2 3 4 5; do wget -qO- 127.0.0.1:8099/i && break; sleep 0.2; done; hostname"
    out = run(daemon, "--network", "container:web", "busybox", "sh", "-c", script)
    assert out == f"found\n{inspected(daemon, 'web')['Config']['Hostname']}\n"
    daemon.docker("stop", "-t", "0", "web")
    result = daemon.docker("run", "--rm", "--network", "container:web", "busybox", "true", check=False)
    assert result.returncode == 125
    assert "cannot join network of a non running container" in result.stderr


def test_the_processes_of_another(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    out = run(daemon, "--pid", "container:one", "busybox", "ps")
    assert "sleep 1000" in out.splitlines()[1]


def test_the_memory_of_another(daemon: Daemon) -> None:
    daemon.docker(
        "run", "-d", "--name", "one", "--ipc", "shareable", "busybox", "sh", "-c", "echo m >/dev/shm/x; sleep 99"
    )
    wait_until(lambda: daemon.docker("exec", "one", "ls", "/dev/shm").stdout == "x\n")
    assert run(daemon, "--ipc", "container:one", "busybox", "cat", "/dev/shm/x") == "m\n"
    daemon.docker("run", "-d", "--name", "two", "--ipc", "private", "busybox", "sleep", "99")
    result = daemon.docker("run", "--rm", "--ipc", "container:two", "busybox", "true", check=False)
    assert result.returncode == 125


def test_those_of_the_host(daemon: Daemon) -> None:
    script = "for kind in pid uts ipc; do readlink /proc/self/ns/$kind; done"
    own = run(daemon, "busybox", "sh", "-c", script).split()
    host = run(daemon, "--pid", "host", "--uts", "host", "--ipc", "host", "busybox", "sh", "-c", script).split()
    assert not set(own) & set(host)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--uts", "host", "--hostname", "x"), "conflicting options: hostname and the UTS mode"),
        (
            ("--network", "container:x", "-p", "80"),
            "conflicting options: port publishing and the container type network",
        ),
        (("--memory", "1m"), "Minimum memory limit allowed is 6MB"),
        (("--memory-swap", "32m"), "You should always set the Memory limit when using Memoryswap limit"),
        (("--memory", "32m", "--memory-reservation", "64m"), "can not be less than memory reservation limit"),
        (("--cpus", "0.5", "--cpu-quota", "50000"), "Conflicting options"),
        (("--cpus", "5000"), "Range of CPUs is from 0.01 to"),
        (("--cpuset-cpus", "a"), "Invalid value a for cpuset cpus"),
        (("--oom-score-adj", "2000"), "range for oom score adj is [-1000, 1000]"),
        (("-v", "a!b:/x"), "includes invalid characters for a local volume name"),
        (("-v", "/a:/x", "-v", "/b:/x"), "Duplicate mount point: /x"),
        (("--health-cmd", "true", "--health-interval", "10us"), "cannot be less than 1ms"),
        (("--device", "/dev/nosuch"), "error gathering device information while adding custom device"),
    ],
)
def test_what_cannot_be(daemon: Daemon, arguments: tuple[str, ...], words: str) -> None:
    result = daemon.docker("run", "--rm", *arguments, "busybox", "true", check=False)
    assert result.returncode in (125, 127)
    assert words in result.stderr


# --- devices, limits, files


def test_devices(daemon: Daemon) -> None:
    script = "test -c /dev/mine && echo mine; test -c /dev/zero && echo usual"
    assert run(daemon, "--device", "/dev/null:/dev/mine:r", "busybox", "sh", "-c", script) == "mine\nusual\n"


def test_a_privileged_container_has_every_device(havre: Daemon) -> None:
    """Not on dockerd: it wants to give more capabilities than the host of these tests may have itself."""
    count = "ls /dev | wc -l"
    few, many = (int(run(havre, *each, "busybox", "sh", "-c", count)) for each in ((), ("--privileged",)))
    assert many > few


def test_a_rule_for_devices(daemon: Daemon) -> None:
    script = "mknod /m c 10 237; head -c 1 /m 2>&1; echo $?"  # /dev/loop-control, which gives nothing to read
    assert "not permitted" in run(daemon, "busybox", "sh", "-c", script)
    assert "not permitted" not in run(daemon, "--device-cgroup-rule", "c 10:237 rw", "busybox", "sh", "-c", script)


def test_limits_and_their_change(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "-m", "64m", "--pids-limit", "50", "busybox", "sleep", "1000")

    def value(file: str) -> str:
        return daemon.docker("exec", "box", "cat", f"/sys/fs/cgroup/{file}").stdout.strip()

    assert (value("memory/memory.limit_in_bytes"), value("pids/pids.max")) == ("67108864", "50")
    daemon.docker("update", "-m", "96m", "--memory-swap", "200m", "--cpus", "0.5", "--restart", "always", "box")
    assert value("memory/memory.limit_in_bytes") == str(96 << 20)
    assert value("cpu/cpu.cfs_quota_us") == "50000"
    host = inspected(daemon, "box")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["RestartPolicy"]["Name"]) == (96 << 20, 500_000_000, "always")
    refused = daemon.docker("update", "-m", "1m", "box", check=False)
    assert "Minimum memory limit allowed is 6MB" in refused.stderr
    assert value("memory/memory.limit_in_bytes") == str(96 << 20)


def test_a_container_that_wants_too_much_memory(daemon: Daemon) -> None:
    script = "x=a; while true; do x=$x$x; done"
    daemon.docker("run", "--name", "big", "-m", "16m", "busybox", "sh", "-c", script, check=False)
    state = inspected(daemon, "big")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


def test_small_things(daemon: Daemon) -> None:
    out = run(daemon, "--oom-score-adj", "100", "busybox", "cat", "/proc/self/oom_score_adj")
    assert out == "100\n"
    out = run(daemon, "-e", "HOME", "-e", "KEPT=1", "busybox", "env")
    assert "KEPT=1" in out


def test_a_mac_address(havre: Daemon) -> None:
    out = run(havre, "--mac-address", "02:42:ac:11:77:99", "busybox", "cat", "/sys/class/net/eth0/address")
    assert out == "02:42:ac:11:77:99\n"


def test_no_log(daemon: Daemon) -> None:
    assert daemon.docker("run", "--name", "quiet", "--log-driver", "none", "busybox", "echo", "seen").stdout == "seen\n"
    result = daemon.docker("logs", "quiet", check=False)
    assert "configured logging driver does not support reading" in result.stderr


def test_details_of_logs(daemon: Daemon) -> None:
    arguments = (
        "--label",
        "team=red",
        "--label",
        "x=y",
        "-e",
        "STAGE=test",
        "--log-opt",
        "labels=team",
        "--log-opt",
        "env=STAGE",
    )
    daemon.docker("run", "--name", "told", *arguments, "busybox", "echo", "line")
    assert daemon.docker("logs", "--details", "told").stdout == "STAGE=test,team=red line\n"


# --- volumes


def test_a_volume_outlives_its_containers(daemon: Daemon) -> None:
    daemon.docker("volume", "create", "--label", "a=b", "data")
    run(daemon, "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f")
    assert run(daemon, "-v", "data:/d:ro", "busybox", "sh", "-c", "cat /d/f; echo x > /d/f || true") == "kept\n"
    assert run(daemon, "--mount", "type=volume,src=data,dst=/e,readonly", "busybox", "cat", "/e/f") == "kept\n"
    daemon.docker("create", "--name", "user", "-v", "data:/d", "busybox")
    result = daemon.docker("volume", "rm", "data", check=False)
    assert "volume is in use" in result.stderr
    daemon.docker("rm", "-v", "user")
    assert daemon.docker("volume", "ls", "-q", "--filter", "label=a").stdout == "data\n"
    daemon.docker("volume", "rm", "data")


def test_volumes_of_its_own_go_with_the_container(daemon: Daemon) -> None:
    def volumes() -> list[str]:
        return daemon.docker("volume", "ls", "-q").stdout.split()

    before = volumes()
    run(daemon, "-v", "/own", "busybox", "touch", "/own/f")
    assert volumes() == before
    daemon.docker("create", "--name", "aa", "-v", "/own", "busybox")
    daemon.docker("rm", "aa")
    left = set(volumes()) - set(before)
    assert len(left) == 1
    daemon.docker("create", "--name", "bb", "-v", "/own", "busybox")
    daemon.docker("rm", "-v", "bb")
    assert set(volumes()) - set(before) == left
    daemon.docker("volume", "prune", "-f")
    assert not left & set(volumes())


def test_an_empty_volume_takes_what_the_image_has(daemon: Daemon) -> None:
    script = "cat /etc/passwd | head -1; stat -c '%a %U' /var/www"
    assert run(daemon, "-v", "fresh:/etc", "-v", "/var/www", "busybox", "sh", "-c", script).startswith("root:x:0")
    out = run(daemon, "-v", "fresh2:/home", "--mount", "type=volume,dst=/etc,volume-nocopy", "busybox", "ls", "/etc")
    assert "passwd" not in out
    daemon.docker("volume", "rm", "fresh", "fresh2")


def test_the_volumes_of_another(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "one", "-v", "/shared", "busybox", "sh", "-c", "echo s > /shared/f")
    assert run(daemon, "--volumes-from", "one", "busybox", "cat", "/shared/f") == "s\n"
    out = run(daemon, "--volumes-from", "one:ro", "busybox", "sh", "-c", "touch /shared/g 2>&1 || echo refused")
    assert out.endswith("refused\n")


def test_inspect_and_errors_of_volumes(daemon: Daemon) -> None:
    found = json.loads(
        daemon.docker("volume", "inspect", daemon.docker("volume", "create", "vol-1").stdout.strip()).stdout
    )[0]
    assert (found["Name"], found["Driver"], found["Scope"]) == ("vol-1", "local", "local")
    assert found["Mountpoint"].endswith("/volumes/vol-1/_data")
    assert daemon.docker("volume", "create", "vol-1").stdout == "vol-1\n"
    assert "no such volume" in daemon.docker("volume", "inspect", "nosuch", check=False).stderr.lower()
    assert daemon.docker("volume", "rm", "-f", "nosuch").returncode == 0
    assert "includes invalid characters" in daemon.docker("volume", "create", "a/b", check=False).stderr
    daemon.docker("volume", "rm", "vol-1")


def test_a_volume_in_memory(daemon: Daemon) -> None:
    daemon.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=2m", "quick")
    assert " 2048 " in run(daemon, "-v", "quick:/q", "busybox", "df", "-k", "/q")
    # What is elsewhere takes nothing of the host's disk.
    assert "quick" not in daemon.docker("system", "df", "-v").stdout
    daemon.docker("volume", "rm", "quick")


# --- health


def test_health(daemon: Daemon) -> None:
    options = ("--health-cmd", "test -f /well", "--health-interval", "300ms", "--health-retries", "2")
    daemon.docker("run", "-d", "--name", "box", *options, "busybox", "sleep", "1000")
    assert "(health: starting)" in daemon.docker("ps").stdout
    wait_until(lambda: "(unhealthy)" in daemon.docker("ps").stdout)
    assert daemon.docker("ps", "-q", "--filter", "health=unhealthy").stdout
    daemon.docker("exec", "box", "touch", "/well")
    wait_until(lambda: "(healthy)" in daemon.docker("ps").stdout)
    health = inspected(daemon, "box")["State"]["Health"]
    assert (health["Status"], health["FailingStreak"]) == ("healthy", 0)
    assert {entry["ExitCode"] for entry in health["Log"]} <= {0, 1}
    assert len(health["Log"]) <= 5


def test_a_check_that_takes_too_long(daemon: Daemon) -> None:
    options = ("--health-cmd", "echo begun; sleep 60", "--health-interval", "200ms", "--health-timeout", "300ms")
    daemon.docker("run", "-d", "--name", "box", *options, "--health-retries", "1", "busybox", "sleep", "1000")
    wait_until(lambda: "(unhealthy)" in daemon.docker("ps").stdout)
    last = inspected(daemon, "box")["State"]["Health"]["Log"][-1]
    assert last["ExitCode"] == -1
    assert "exceeded timeout (300ms)" in last["Output"]


# --- use of resources


def test_stats_and_top(daemon: Daemon) -> None:
    daemon.docker(
        "run", "-d", "--name", "busy", "-m", "100m", "busybox", "sh", "-c", "sleep 1000 & while :; do :; done"
    )
    wait_until(lambda: "sleep 1000\n" in daemon.docker("top", "busy").stdout, what="the second process")
    row = json.loads(daemon.docker("stats", "--no-stream", "--format", "{{json .}}", "busy").stdout)
    assert float(row["CPUPerc"].rstrip("%")) > 1  # it takes what it can get, which on a busy machine is not much
    assert row["MemUsage"].endswith("/ 100MiB")
    assert row["PIDs"] == "2"
    lines = daemon.docker("top", "busy").stdout.splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"]
    assert max(line.split(None, 7)[7] for line in lines[1:]) == "sleep 1000"
    titles = daemon.docker("top", "busy", "-o", "pid,comm").stdout.splitlines()[0]
    assert titles.split() == ["PID", "COMMAND"]
    assert "sleep 1000" in daemon.docker("top", "busy", "u").stdout  # which by itself are those of one's own terminal
    assert "sleep 1000" in daemon.docker("top", "busy", "--sort=-pid", "-o", "pid,args").stdout
    assert daemon.docker("top", "busy", "--nonsense", check=False).returncode == 1
    daemon.docker("stop", "-t", "0", "busy")
    assert "is not running" in daemon.docker("top", "busy", check=False).stderr
    stopped = json.loads(daemon.docker("stats", "--no-stream", "--format", "{{json .}}", "busy").stdout)
    assert (stopped["PIDs"], stopped["MemUsage"]) == ("0", "0B / 0B")


def test_prune(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "old", "--label", "keep=no", "busybox", "true")
    daemon.docker("create", "--name", "kept", "--label", "keep=yes", "busybox")
    daemon.docker("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    daemon.docker("container", "prune", "-f", "--filter", "label!=keep=yes")
    assert set(daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()) == {"kept", "runs"}
    daemon.docker("container", "prune", "-f", "--filter", "until=1h")
    assert "kept" in daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout
    daemon.docker("container", "prune", "-f")
    assert daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout == "runs\n"
