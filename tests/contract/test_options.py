"""What each option of a container's creation does, seen from inside it: Havre and dockerd alike.

One container carries many options; what they do is looked at by one script, of which each line answers for one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from engine.kernel import cgroup
from tests.fixtures.asking import asked
from tests.fixtures.daemons import Daemon
from tests.fixtures.processes import wait_until

pytestmark = pytest.mark.usefixtures("clean")


class Bundle(NamedTuple):
    """Options that go together, and what is found where they hold: by a command of a shell, the text that it prints."""

    options: tuple[str, ...]
    found: Mapping[str, str]


def status(field: str) -> str:
    return f"grep ^{field}: /proc/self/status | cut -f2"


def limit(name: str) -> str:
    return f"grep '^Max {name}  ' /proc/self/limits | xargs | cut -d' ' -f{2 + len(name.split())}-"


def group(file: str) -> str:
    return f"cat /sys/fs/cgroup/{file}"


def mounted(place: str) -> str:
    """Its file system's type and options, sorted, without those that every mount has."""
    return (
        f"grep ' {place} ' /proc/mounts | cut -d' ' -f3,4 | tr ', ' '\\n\\n' | sort | grep -v -e ^rw -e ^inode | xargs"
    )


PARENT: Final = f"/options-{os.getpid()}"
UNIFIED: Final = cgroup.version() == 2
"""Whether control groups are those of version 2, whose files have other names and a few other values."""

LIMITED: Final = (
    {
        group("memory.max"): str(64 << 20),
        group("memory.swap.max"): str(36 << 20),
        group("memory.low"): str(32 << 20),
        group("cpu.weight"): "20",  # of 10,000, as 512 shares are of 262,144
        group("cpu.max"): "20000 50000",
        group("pids.max"): "17",
        group("cpuset.cpus"): "0",
        group("cpuset.mems"): "0",
        group("io.max"): f"7:0 rbps={1 << 20} wbps={2 << 20} riops=3 wiops=4",
    }
    if UNIFIED
    else {
        group("memory/memory.limit_in_bytes"): str(64 << 20),
        group("memory/memory.memsw.limit_in_bytes"): str(100 << 20),
        group("memory/memory.soft_limit_in_bytes"): str(32 << 20),
        group("memory/memory.swappiness"): "7",
        "head -1 /sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 1",
        group("cpu/cpu.shares"): "512",
        group("cpu/cpu.cfs_period_us"): "50000",
        group("cpu/cpu.cfs_quota_us"): "20000",
        group("pids/pids.max"): "17",
        group("cpuset/cpuset.cpus"): "0",
        group("cpuset/cpuset.mems"): "0",
        group("blkio/blkio.throttle.read_bps_device"): f"7:0 {1 << 20}",
        group("blkio/blkio.throttle.write_bps_device"): f"7:0 {2 << 20}",
        group("blkio/blkio.throttle.read_iops_device"): "7:0 3",
        group("blkio/blkio.throttle.write_iops_device"): "7:0 4",
    }
)
LIMITED_OTHERWISE: Final = (
    {
        group("memory.max"): str(64 << 20),
        group("memory.swap.max"): "max",
        group("cpu.max"): "50000 100000",
        group("pids.max"): "max",
    }
    if UNIFIED
    else {
        group("memory/memory.limit_in_bytes"): str(64 << 20),
        group("memory/memory.memsw.limit_in_bytes"): "9223372036854771712",
        group("cpu/cpu.cfs_quota_us"): "50000",
        group("pids/pids.max"): "max",
        f"grep -c :{PARENT}/ /proc/self/cgroup > /dev/null && echo there": "there",
    }
)
BUNDLES: Final = {
    "identity": Bundle(
        (
            *("--user=postgres", "--group-add=wheel", "--group-add=4711", "--workdir=/made/here", "--env=A=b c"),
            *("--hostname=box", "--domainname=example.org", "--cap-drop=ALL", "--cap-add=NET_ADMIN"),
            *("--security-opt=no-new-privileges", "--oom-score-adj=100", "--entrypoint=sh"),
        ),
        {
            "id -u; id -g; id -G": "70\n70\n70 10 4711",
            "echo $HOME $A": "/var/lib/postgresql b c",
            "pwd; stat -c '%A %u' /made/here": "/made/here\ndrwxr-xr-x 0",
            "hostname; cat /proc/sys/kernel/domainname": "box\nexample.org",
            "grep -c '\tbox.example.org box$' /etc/hosts": "1",
            "cat /etc/hostname": "box",
            status("CapBnd"): "0000000000001000",
            status("CapEff"): "0000000000000000",
            status("NoNewPrivs"): "1",
            status("Seccomp"): "2",
            "cat /proc/self/oom_score_adj": "100",
            "umask": "0022",
        },
    ),
    "limits of processes": Bundle(
        (
            *("--ulimit=nofile=100:200", "--ulimit=core=0", "--ulimit=nproc=300:400", "--ulimit=stack=1048576"),
            *("--ulimit=fsize=40960:81920", "--ulimit=cpu=100:200", "--ulimit=rtprio=0", "--cpuset-cpus=1"),
        ),
        {
            limit("open files"): "100 200 files",
            limit("core file size"): "0 0 bytes",
            limit("processes"): "300 400 processes",
            limit("stack size"): "1048576 1048576 bytes",
            limit("file size"): "40960 81920 bytes",
            limit("cpu time"): "100 200 seconds",
            limit("realtime priority"): "0 0",
            "head -c 99999 /dev/zero > /tmp/f 2>/dev/null; wc -c < /tmp/f": "40960",
            status("Cpus_allowed_list"): "1",
        },
    ),
    "control groups": Bundle(
        (
            *("--memory=64m", "--memory-swap=100m", "--memory-reservation=32m", "--memory-swappiness=7"),
            *("--oom-kill-disable", "--cpu-shares=512", "--cpu-period=50000", "--cpu-quota=20000", "--pids-limit=17"),
            *("--cpuset-cpus=0", "--cpuset-mems=0", "--device-read-bps=/dev/loop0:1mb"),
            *(
                "--device-write-bps=/dev/loop0:2mb",
                "--device-read-iops=/dev/loop0:3",
                "--device-write-iops=/dev/loop0:4",
            ),
        ),
        LIMITED,
    ),
    "more control groups": Bundle(
        ("--memory=64m", "--memory-swap=-1", "--cpus=0.5", "--pids-limit=-1", f"--cgroup-parent={PARENT}"),
        LIMITED_OTHERWISE,
    ),
    "file systems": Bundle(
        (
            *("--read-only", "--tmpfs=/a:size=64k,mode=700,uid=70", "--tmpfs=/b:exec", "--shm-size=1m"),
            *("--mount=type=tmpfs,dst=/c,tmpfs-size=131072,tmpfs-mode=1750", "--mount=type=tmpfs,dst=/d,readonly"),
            *("--device=/dev/loop0:/dev/mine:r", "--device=/dev/full"),
        ),
        {
            "touch /x 2>&1; touch /etc/hosts 2>&1": "touch: /x: Read-only file system\n"
            "touch: /etc/hosts: Read-only file system",
            "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2": "1024",
            mounted("/a"): "mode=700 nodev noexec nosuid relatime size=64k tmpfs uid=70",
            mounted("/b"): "nodev nosuid relatime tmpfs",
            mounted("/c"): "mode=1750 nodev noexec nosuid relatime size=128k tmpfs",
            "touch /a/f /c/f && echo written; touch /d/f 2>&1": "written\ntouch: /d/f: Read-only file system",
            "stat -c '%u %t,%T' /dev/mine; stat -c '%A %u %t,%T' /dev/full": "0 7,0\ncrw-rw-rw- 0 1,7",
            "cat /dev/mine; (echo x > /dev/mine) 2>&1": "sh: can't create /dev/mine: Operation not permitted",
        },
    ),
    "names and addresses": Bundle(
        (
            *("--dns=192.0.2.1", "--dns=192.0.2.2", "--dns-search=example.org", "--dns-search=example.com"),
            *(
                "--dns-option=ndots:3",
                "--dns-option=timeout:1",
                "--add-host=db:192.0.2.9",
                "--add-host=six:2001:db8::1",
            ),
            *("--add-host=host:host-gateway", "--sysctl=net.core.somaxconn=77", "--sysctl=net.ipv4.ip_forward=0"),
            *("--sysctl=kernel.msgmax=9000", "--sysctl=kernel.sem=250 32000 100 99", "--sysctl=fs.mqueue.msg_max=5"),
        ),
        {
            "grep ^nameserver /etc/resolv.conf": "nameserver 192.0.2.1\nnameserver 192.0.2.2",
            "grep -e ^search -e ^options /etc/resolv.conf": "search example.org example.com\noptions ndots:3 timeout:1",
            "grep -w -e db -e six /etc/hosts": "192.0.2.9\tdb\n2001:db8::1\tsix",
            "way=$(ip route | grep ^default | cut -d' ' -f3); grep -c \"^$way.host$\" /etc/hosts": "1",
            "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_forward": "77\n0",
            "cat /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max": "9000\n5",
            "cat /proc/sys/kernel/sem": "250\t32000\t100\t99",
        },
    ),
    "nothing asked for": Bundle(
        (),
        {
            "id -u; id -G; pwd": "0\n0 10\n/",
            status("CapEff"): "00000000a80425fb",
            status("CapInh"): "0000000000000000",
            status("CapAmb"): "0000000000000000",
            status("NoNewPrivs"): "0",
            status("Seccomp"): "2",
            mounted("/dev/shm"): "nodev noexec nosuid relatime size=65536k tmpfs",
            mounted("/sys"): "nodev noexec nosuid relatime ro sysfs",
            "cat /proc/self/oom_score_adj": "0",
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range": "0\n0\t2147483647",
            "head -c1 /proc/kcore | wc -c; ls /sys/firmware | wc -l": "0\n0",
            "touch /proc/sys/kernel/hostname 2>&1": "touch: /proc/sys/kernel/hostname: Read-only file system",
            "ls /dev | grep -v -e core -e console | xargs": "fd full mqueue null ptmx pts random shm stderr stdin "
            "stdout tty urandom zero",
            "grep -c ^nameserver /etc/resolv.conf > /dev/null && echo there": "there",
        },
    ),
    "groups of its own": Bundle(
        ("--cgroupns=private", "--ipc=none", "--network=none", "--memory=32m"),
        {
            "cut -d: -f3 /proc/self/cgroup | sort -u": "/",
            "test -e /dev/shm/. || echo none": "none",
            "ls /sys/class/net": "lo",
            group("memory.max" if UNIFIED else "memory/memory.limit_in_bytes"): str(32 << 20),
        },
    ),
    "nothing held back": Bundle(
        (
            *("--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined", "--userns=host"),
            *("--security-opt=label=disable", "--security-opt=apparmor=unconfined", "--uts=host", "--pid=host"),
            *("--ipc=host", "--network=host", "--cgroupns=host", "--runtime=runc", "--isolation=default"),
        ),
        {
            status("Seccomp"): "0",
            "grep -e ' /proc/' -e ' /sys/firmware ' /proc/mounts": "",
            **{
                f"readlink /proc/self/ns/{kind}": str(Path(f"/proc/self/ns/{kind}").readlink())
                for kind in ("uts", "pid", "ipc", "cgroup", "user")
            },
            "hostname": os.uname().nodename,
        },
    ),
}


@pytest.mark.parametrize("bundle", BUNDLES.values(), ids=BUNDLES)
def test_inside(daemon: Daemon, bundle: Bundle) -> None:
    try:
        assert looked(daemon, bundle.options, bundle.found) == dict(bundle.found)
    finally:
        for group in cgroup.tops(PARENT.lstrip("/")):
            group.rmdir()  # the parent that was asked for stays, with either


def looked(daemon: Daemon, options: tuple[str, ...], questions: Mapping[str, str]) -> dict[str, str]:
    """What each of *questions* prints in a container with *options*."""
    script = "\n".join(f"echo '<{number}>'\n({question})" for number, question in enumerate(questions))
    entry = ("busybox",) if "--entrypoint=sh" in options else ("busybox", "sh")
    told = daemon.docker("run", "--rm", *options, *entry, "-c", script, check=False)
    parts = told.stdout.split("<")[1:]
    assert len(parts) == len(questions), told
    return {question: part.partition(">\n")[2].rstrip("\n") for question, part in zip(questions, parts, strict=True)}


# --- host paths and volumes


def test_propagation(daemon: Daemon, shared_tree: Path) -> None:
    """Mounts made later on the host show where that was asked for, and the container's own where that was."""
    modes = ("rshared", "rslave", "rprivate", "shared", "slave", "private")
    binds = [f"--volume={shared_tree}:/{mode}:{mode}" for mode in modes]
    daemon.docker("run", "-d", "--name=box", "--cap-add=SYS_ADMIN", *binds, "busybox", "sleep", "1000")
    (shared_tree / "later").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "later", shared_tree / "later"], check=True)
    (shared_tree / "later/file").touch()
    script = f"cd /; for mode in {' '.join(modes)}; do echo $mode $(ls $mode/later); done"
    assert daemon.docker("exec", "box", "sh", "-c", script).stdout.splitlines() == [
        *("rshared file", "rslave file", "rprivate", "shared file", "slave file", "private")
    ]
    for mode in ("rshared", "rslave"):
        made = f"mkdir /{mode}/{mode}; mount -t tmpfs {mode} /{mode}/{mode} && touch /{mode}/{mode}/file"
        daemon.docker("exec", "box", "sh", "-c", made)
    assert [(shared_tree / mode / "file").exists() for mode in ("rshared", "rslave")] == [True, False]


def test_what_is_mounted_below_a_bind(daemon: Daemon, shared_tree: Path) -> None:
    """It comes along unless that is not wanted."""
    bind = f"type=bind,src={shared_tree}"
    mounts = (f"--mount={bind},dst=/all", f"--mount={bind},dst=/one,bind-nonrecursive=true")
    (shared_tree / "below/file").touch()
    out = daemon.docker("run", "--rm", *mounts, "busybox", "sh", "-c", "ls /all/below; ls /one/below | wc -l")
    assert out.stdout == "file\n0\n"


# --- a life


@pytest.mark.parametrize(
    ("options", "script", "code"),
    [
        (("--stop-signal=INT", "--stop-timeout=60"), "trap 'exit 7' INT; trap 'exit 8' TERM", 7),
        (("--stop-signal=RTMIN+3", "--stop-timeout=60"), "trap 'exit 7' 37; trap 'exit 8' TERM", 7),
        (("--stop-timeout=60",), "trap 'sleep 0.3; exit 9' TERM", 9),
        (("--stop-timeout=0",), "trap 'sleep 60; exit 9' TERM", 137),
    ],
)
def test_how_it_is_stopped(daemon: Daemon, options: tuple[str, ...], script: str, code: int) -> None:
    loop = f"{script}; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name=box", *options, "busybox", "sh", "-c", loop)
    wait_until(lambda: daemon.docker("logs", "box").stdout == "ready\n")
    daemon.docker("stop", "box")
    assert daemon.docker("wait", "box").stdout == f"{code}\n"


@pytest.mark.parametrize(("options", "left"), [((), "1"), (("--init",), "0")])
def test_an_init_takes_care_of_orphans(daemon: Daemon, options: tuple[str, ...], left: str) -> None:
    # It ends when its parent has gone and PID 1 is no shell any more, which would take care of it as well.
    orphan = "sh -c 'sleep 1 & exec true'; exec sleep 1000"
    daemon.docker("run", "-d", "--name=box", *options, "busybox", "sh", "-c", orphan)
    dead = "cat /proc/[0-9]*/stat | grep -c ') Z'"
    alive = "ps -o args | grep -cx 'sleep 1'"
    wait_until(lambda: daemon.docker("exec", "box", "sh", "-c", alive, check=False).stdout == "0\n")
    wait_until(lambda: daemon.docker("exec", "box", "sh", "-c", dead, check=False).stdout == f"{left}\n")
    first = daemon.docker("exec", "box", "cat", "/proc/1/comm").stdout
    assert first == ("docker-init\n" if options else "sleep\n")


def test_failures_of_a_check_while_it_starts(daemon: Daemon) -> None:
    options = ("--health-cmd=false", "--health-interval=100ms", "--health-retries=1", "--health-start-period=1h")
    daemon.docker("run", "-d", "--name=box", *options, "busybox", "sleep", "1000")

    def health() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(daemon.docker("inspect", "-f", "{{json .State.Health}}", "box").stdout)
        return found

    wait_until(lambda: len(health()["Log"]) >= 2)
    assert (health()["Status"], health()["FailingStreak"]) == ("starting", 0)


def test_a_filter_of_its_own(daemon: Daemon, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    option = f"--security-opt=seccomp={tmp_path}/profile.json"
    told = daemon.docker(
        "run", "--rm", option, "busybox", "sh", "-c", "mkdir /x 2>&1; grep ^Seccomp: /proc/self/status"
    )
    assert told.stdout == "mkdir: can't create directory '/x': Operation not supported\nSeccomp:\t2\n"


def test_a_further_process_has_the_groups_as_well(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name=box", "--group-add=4711", "busybox", "sleep", "1000")
    found = daemon.docker("exec", "-u", "www-data", "box", "id", "-G").stdout
    assert sorted(found.split()) == ["33", "4711"]


def test_limits_that_are_lifted(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name=box", "--pids-limit=7", "--memory=32m", "busybox", "sleep", "1000")
    daemon.docker("update", "--pids-limit=-1", "--memory=64m", "--memory-swap=100m", "box")
    files = ("pids/pids.max", "memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes")
    found = daemon.docker("exec", "box", "cat", *(f"/sys/fs/cgroup/{file}" for file in files)).stdout.split()
    # No limit is the number of processes that the kernel can have where the runtime knows no word for it.
    assert found[0] in ("max", str(4 << 20))
    assert found[1:] == [str(64 << 20), str(100 << 20)]


def test_a_free_port_of_a_range(daemon: Daemon) -> None:
    ports = ("--publish=127.0.0.1:18090-18091:80", "busybox", "sleep", "1000")
    for name in ("one", "two"):
        daemon.docker("run", "-d", f"--name={name}", *ports)
    taken = {daemon.docker("port", name, "80").stdout.strip() for name in ("one", "two")}
    assert taken == {"127.0.0.1:18090", "127.0.0.1:18091"}
    refused = daemon.docker("run", "-d", *ports, check=False)
    assert refused.returncode == 125
    assert "allocated" in refused.stderr


@pytest.mark.parametrize("mode", ["default", "host"])
def test_a_disabled_network(daemon: Daemon, mode: str) -> None:
    """Whatever its mode: a namespace of its own with the loopback alone, no endpoint, and no port of the host."""
    host = {"NetworkMode": mode, "PortBindings": {"80/tcp": [{"HostPort": "18080"}]}}
    body = {"Image": "busybox", "Cmd": ["sleep", "99"], "NetworkDisabled": True, "HostConfig": host}
    made = asked(daemon.socket, "POST", "/v1.41/containers/create?name=alone", body)
    assert made.status == 201
    daemon.docker("start", "alone")
    assert daemon.docker("exec", "alone", "ls", "/sys/class/net").stdout == "lo\n"
    daemon.docker("exec", "alone", "ping", "-c1", "127.0.0.1")
    found = asked(daemon.socket, "GET", "/v1.41/containers/alone/json").document
    assert found["Config"]["NetworkDisabled"]
    assert (found["NetworkSettings"]["Networks"], found["NetworkSettings"]["Ports"]) == ({}, {})
    with pytest.raises(ConnectionRefusedError):
        daemon.namespace.connect(18080)
    if daemon.kind == "havre":  # dockerd 20.10 says yes, and plugs a namespace in which nobody is
        daemon.docker("network", "connect", "bridge", "alone")
        assert daemon.docker("exec", "alone", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
        daemon.docker("network", "disconnect", "bridge", "alone")
        assert daemon.docker("exec", "alone", "ls", "/sys/class/net").stdout == "lo\n"
