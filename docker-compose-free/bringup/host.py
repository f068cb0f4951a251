"""What the host must have: root, the kernel's parts, the distribution's packages, the web side's user."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bringup.config import Config
from bringup.console import Failure, run, step


@dataclass(frozen=True)
class Need:
    """Something that a package brings, and how to see that it is there."""

    package: str
    what: str
    there: Callable[[], bool]


def program(name: str, package: str) -> Need:
    return Need(package, name, lambda: find(name) is not None)


def find(name: str) -> str | None:
    """A program's path; sudo and cron often leave the system directories out of PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")


def file(path: str, package: str) -> Need:
    return Need(package, path, Path(path).exists)


ENGINE_NEEDS = (
    program("crun", "crun"),
    program("runc", "runc"),
    program("conmon", "conmon"),
    program("nft", "nftables"),
    program("ip", "iproute2"),
    Need("apparmor", "apparmor_parser", lambda: not confines() or find("apparmor_parser") is not None),
    file("/usr/share/containers/seccomp.json", "golang-github-containers-common"),
    file("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
)
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


def confines(enabled: Path = APPARMOR) -> bool:
    """Whether the kernel uses AppArmor: containers get a profile then, which a program has to load."""
    return enabled.is_file() and enabled.read_text().strip() == "Y"


WEB_NEEDS = (program("redis-server", "redis-server"), file("/usr/share/zoneinfo/UTC", "tzdata"))


def check_root() -> None:
    if os.geteuid() != 0:
        raise Failure("the engine makes namespaces and mounts, so this must run as root: sudo ./docker-compose-free/up")


def check_kernel() -> None:
    """Say at the start what would otherwise fail at the first container. Modules are loaded where there are any."""
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        _modprobe("overlay")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        raise Failure("this kernel has no overlay file system: load the module overlay, or use another kernel")
    groups = Path("/sys/fs/cgroup")
    if not (groups / "cgroup.controllers").exists() and not (groups / "pids").is_dir():
        raise Failure(
            "no control groups are mounted on /sys/fs/cgroup: on a system without systemd install cgroupfs-mount, "
            "or mount cgroup2 there"
        )
    _check_network()


def _check_network() -> None:
    """Make a bridge, a veth pair and a rule in a namespace that ends with the check."""
    _modprobe("nf_tables", "nft_nat", "nft_masq", "nft_fib_inet", "bridge", "veth", "br_netfilter")
    attempts: Sequence[Sequence[str]] = (
        ("ip", "link", "add", "havre-check", "type", "bridge"),
        ("ip", "link", "add", "havre-a", "type", "veth", "peer", "name", "havre-b"),
        ("nft", "add table inet havre; add chain inet havre n { type nat hook postrouting priority 100; }"),
    )
    for attempt in attempts:
        found = find(attempt[0]) or attempt[0]
        result = subprocess.run(
            ["unshare", "--net", found, *attempt[1:]],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if result.returncode:
            raise Failure(
                f"this kernel cannot do `{' '.join(attempt)}`: {result.stderr.strip()}\n"
                "Containers need bridges, veth pairs and nat by nftables: load the modules, or take another kernel."
            )


def _modprobe(*modules: str) -> None:
    modprobe = find("modprobe")
    if modprobe:
        # Built into the kernel, or not there at all: what counts is whether the check passes afterwards.
        subprocess.run([modprobe, "--quiet", "--all", *modules], capture_output=True, check=False)


def install(needs: Sequence[Need]) -> None:
    """Install the packages of what is missing, and start none of their services."""
    missing = [need for need in needs if not need.there()]
    if not missing:
        return
    packages = sorted({need.package for need in missing})
    apt = find("apt-get")
    if apt is None:
        names = ", ".join(need.what for need in missing)
        raise Failure(f"missing on this host: {names}. Install them with its package manager and start again.")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    options = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    advice = f"Look whether the network and /etc/apt work: apt-get update && apt-get install {' '.join(packages)}"
    install_command = [apt, *options, "install", "--yes", "--no-install-recommends", *packages]
    with step(f"installing {', '.join(packages)}"), _no_services():
        # Lists that are there may be old and then name packages that are gone: fetch them when that shows.
        if _has_lists():
            with contextlib.suppress(Failure):
                run(install_command, environ=environ, advice=advice)
        if not all(need.there() for need in missing):
            run([apt, *options, "update"], environ=environ, advice=advice)
            run(install_command, environ=environ, advice=advice)
    still = [need.what for need in missing if not need.there()]
    if still:
        raise Failure(f"{', '.join(packages)} installed, and yet there is no {', '.join(still)} on this host")


def _has_lists() -> bool:
    return any(Path("/var/lib/apt/lists").glob("*Packages*"))


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a package's service as it installs it, unless policy-rc.d says no (invoke-rc.d(8))."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def make_account(config: Config) -> None:
    """The group that may use the engine's socket, and the user that the web side runs as."""
    if not _known(grp.getgrnam, config.group):
        run(
            [find("groupadd") or "groupadd", "--system", config.group],
            advice="Make the group by hand, or set HAVRE_GROUP.",
        )
    if not _known(pwd.getpwnam, config.user):
        command = [find("useradd") or "useradd", "--system", "--gid", config.group, "--no-create-home"]
        command += ["--home-dir", str(config.web_state), "--shell", "/usr/sbin/nologin", config.user]
        run(command, advice="Make the user by hand, or set HAVRE_USER.")


def _known(look: Callable[[str], object], name: str) -> bool:
    try:
        look(name)
    except KeyError:
        return False
    return True


def make_directories(config: Config) -> None:
    """State and run directories: the engine's are root's, the web side's and Redis's are the user's."""
    for path in (config.root, config.run):
        path.mkdir(parents=True, exist_ok=True, mode=0o711)
    user, group = pwd.getpwnam(config.user).pw_uid, grp.getgrnam(config.group).gr_gid
    for path in (config.web_state, config.redis_directory, config.web_state / "redis"):
        path.mkdir(exist_ok=True, mode=0o750)
        os.chown(path, user, group)
    _give_back(config.web_state, user, group)
    link = config.run / "redis.sock"
    if not link.is_symlink():
        # The default of REDIS_URL: programs started by hand find this instance's Redis too.
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to("redis/redis.sock")


def _give_back(directory: Path, user: int, group: int) -> None:
    """Hand over what a `manage.py` run by root has left in the web side's directory."""
    for path in directory.rglob("*"):
        status = path.lstat()
        if status.st_uid == 0 and (status.st_nlink == 1 or path.is_dir()):  # never a hard link to another's file
            os.chown(path, user, group, follow_symlinks=False)


def lock(config: Config) -> TextIO:
    """One `up` a run directory: held as long as the returned file is open."""
    config.run.mkdir(parents=True, exist_ok=True, mode=0o711)
    held = (config.run / "up.lock").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        raise Failure(
            f"Havre already runs here (process {held.read().strip() or 'unknown'}, run directory {config.run}). Stop "
            "it, or give this instance other values of HAVRE_ROOT, HAVRE_RUN, HAVRE_BRIDGE and HAVRE_BIND."
        ) from None
    held.seek(0)
    held.truncate()
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held
