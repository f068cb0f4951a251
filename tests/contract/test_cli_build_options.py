"""The options of `docker build`, one by one, on both engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import scratch_directory
from tests.fixtures.built import build, write_context
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.registry import Registry

pytestmark = pytest.mark.usefixtures("busybox")


def image_id(daemon: Daemon, name: str) -> str:
    return daemon.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def printed(daemon: Daemon, context: Path, command: str, *options: str) -> str:
    """What *command* prints as a step of a build with *options*."""
    write_context(context, f"FROM busybox\nRUN echo BEGIN; {command}; echo END\n", {})
    out = build(daemon, context, "--no-cache", *options).stdout
    found = re.search(r"^BEGIN\n(.*)^END\n", out, re.MULTILINE | re.DOTALL)
    assert found is not None, out
    return found[1]


def test_hosts_and_shared_memory(daemon: Daemon, tmp_path: Path) -> None:
    hosts = printed(daemon, tmp_path, "cat /etc/hosts", "--add-host", "far:10.1.2.3", "--add-host", "six:fd00::1")
    assert "10.1.2.3\tfar\n" in hosts
    assert "fd00::1\tsix\n" in hosts
    assert printed(daemon, tmp_path, "df -k /dev/shm | awk 'NR==2 {print $2}'", "--shm-size", "5m") == "5120\n"


@pytest.mark.parametrize(
    ("options", "file", "value"),
    [
        (("--memory", "40m"), "memory/memory.limit_in_bytes", "41943040"),
        (("--memory", "40m", "--memory-swap", "60m"), "memory/memory.memsw.limit_in_bytes", "62914560"),
        (("--cpu-shares", "77"), "cpu/cpu.shares", "77"),
        (("--cpu-period", "50000", "--cpu-quota", "25000"), "cpu/cpu.cfs_quota_us", "25000"),
        (("--cpuset-cpus", "0"), "cpuset/cpuset.cpus", "0"),
    ],
)
def test_limits_of_commands(daemon: Daemon, tmp_path: Path, options: tuple[str, ...], file: str, value: str) -> None:
    if not Path("/sys/fs/cgroup", file).parent.is_dir():
        pytest.skip("control groups of version 2 alone: the engine's own tests of limits have them")
    place = f"/sys/fs/cgroup/{file}"
    assert printed(daemon, tmp_path, f"cat {place}", *options) == f"{value}\n"


def test_limits_of_resources_are_kept(daemon: Daemon, tmp_path: Path) -> None:
    assert printed(daemon, tmp_path, "ulimit -n", "--ulimit", "nofile=99:99") == "99\n"
    write_context(tmp_path, "FROM busybox\nRUN head -c 200000000 /dev/zero | grep -a x\n", {})
    result = build(daemon, tmp_path, "--memory", "24m", "--memory-swap", "24m", check=False)
    assert "returned a non-zero code: 1" in result.stderr


def test_networks_of_commands(daemon: Daemon, tmp_path: Path) -> None:
    assert "eth0" in printed(daemon, tmp_path, "cat /proc/net/dev")
    assert "eth0" not in printed(daemon, tmp_path, "cat /proc/net/dev", "--network", "none")
    daemon.docker("network", "create", "--subnet", "10.87.0.0/24", "builds")
    try:
        assert " 10.87.0." in printed(daemon, tmp_path, "ip -4 addr show eth0 | grep inet", "--network", "builds")
    finally:
        daemon.docker("network", "rm", "builds")
    result = build(daemon, tmp_path, "--no-cache", "--network", "nosuch", check=False)
    assert result.returncode == 1
    assert "network nosuch not found" in result.stderr


def test_arguments_that_are_not_used_are_told_of(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nARG A\nENV B=$A\n", {})
    out = build(daemon, tmp_path, "--build-arg", "A=1", "--build-arg", "C=2", "--build-arg", "D=3")
    assert re.search(r"\[Warning\] One or more build-args \[(C D|D C)\] were not consumed", out.stdout)


def test_only_arguments_that_are_in_use_count_for_the_cache(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nRUN echo one\nARG A=0\nRUN echo two\nENV B=b\n", {})
    build(daemon, tmp_path, "--build-arg", "A=1")
    same = build(daemon, tmp_path, "--build-arg", "A=1").stdout
    other = build(daemon, tmp_path, "--build-arg", "A=2").stdout
    unused = build(daemon, tmp_path, "--build-arg", "A=1", "--build-arg", "UNUSED=x").stdout
    assert [text.count("Using cache") for text in (same, unused)] == [4, 4]
    assert other.count("Using cache") == (2 if isinstance(daemon, HavreDaemon) else other.count("Using cache"))
    assert "Running in" in other


def test_squash_is_refused_in_words(daemon: Daemon, tmp_path: Path) -> None:
    write_context(tmp_path, "FROM busybox\nENV A=1\n", {})
    result = build(daemon, tmp_path, "--squash", check=False)
    assert result.returncode == 1
    assert re.search(r"squash.*experimental", result.stderr)


def test_an_image_that_has_the_steps_is_enough(daemon: Daemon, tmp_path: Path) -> None:
    """`--cache-from` of an image that came from elsewhere: here out of an archive, its cache is gone."""
    write_context(tmp_path, "FROM busybox\nRUN echo 1 > /one\nCOPY f /f\nENV A=1\n", {"f": "f"})
    build(daemon, tmp_path, "-t", "source:1")
    archive = daemon.directory / "source.tar"
    daemon.docker("save", "-o", str(archive), "source:1")
    daemon.docker("rmi", "source:1")
    daemon.docker("builder", "prune", "-af")
    assert "Using cache" not in build(daemon, tmp_path, "-t", "anew").stdout
    daemon.docker("rmi", "anew")
    daemon.docker("builder", "prune", "-af")
    daemon.docker("load", "-i", str(archive))
    out = build(daemon, tmp_path, "--cache-from", "source:1", "-t", "again").stdout
    assert out.count("Using cache") == 3
    layers = "{{json .RootFS.Layers}}"
    again, source = (daemon.docker("image", "inspect", "-f", layers, name).stdout for name in ("again", "source:1"))
    assert again == source
    assert "Using cache" not in build(daemon, tmp_path, "--cache-from", "busybox").stdout
    daemon.docker("rmi", "again", "source:1")
    archive.unlink()


@pytest.fixture
def private(daemon: Daemon) -> Iterator[Registry]:
    """A registry in the engine's namespace that lets in only `ada`."""
    with scratch_directory() as directory:
        with Registry(directory, namespace=daemon.namespace, port=5123, account=("ada", "secret")) as registry:
            yield registry


def test_pull_asks_for_newer_bases_with_the_names_of_the_cli(daemon: Daemon, private: Registry, tmp_path: Path) -> None:
    """The CLI sends all of its registries' passwords along (X-Registry-Config)."""
    base = f"{private.address}/base:1"

    def publish(text: str) -> None:
        write_context(tmp_path, f"FROM busybox\nRUN echo {text} > /text\n", {})
        build(daemon, tmp_path, "-t", base)
        daemon.docker("push", "-q", base)

    daemon.docker("login", "-u", "ada", "--password-stdin", private.address, stdin="secret")
    publish("old")
    old = image_id(daemon, base)
    publish("new")
    daemon.docker("tag", old, base)  # the registry has a newer one now
    write_context(tmp_path, f"FROM {base}\nRUN cat /text\n", {})
    assert "\nold\n" in build(daemon, tmp_path, "--no-cache").stdout
    assert "\nnew\n" in build(daemon, tmp_path, "--pull").stdout
    daemon.docker("logout", private.address)
    daemon.docker("rmi", "-f", base)
    result = build(daemon, tmp_path, check=False)
    assert result.returncode == 1
    assert re.search("no basic auth credentials|unauthorized|authentication required|denied", result.stderr)
