"""What the engine tells of itself and of its host: the answers of `/version` and `/info`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from engine.api.version import NEWEST, OLDEST, PRODUCT_VERSION, text
from engine.config import EngineConfig
from engine.containers import apparmor
from engine.types import now, rfc3339

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_NUMBER: Final = re.compile(r"\d+(\.\d+)+\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    containers: int
    running: int
    paused: int
    images: int


@lru_cache(maxsize=1)
def version() -> dict[str, Any]:
    """The answer of `GET /version`. The versions of programs are asked for once."""
    kernel, architecture = platform.release(), _architecture()
    api, oldest = text(NEWEST), text(OLDEST)
    details = {
        "ApiVersion": api,
        "Arch": architecture,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": f"Python {platform.python_version()}",
        "KernelVersion": kernel,
        "MinAPIVersion": oldest,
        "Os": "linux",
    }
    return {
        "Platform": {"Name": "Havre"},
        "Components": [
            {"Name": "Engine", "Version": PRODUCT_VERSION, "Details": details},
            *(
                {"Name": name, "Version": _program_version(name), "Details": {"GitCommit": ""}}
                for name in ("runc", "conmon")
            ),
        ],
        "Version": PRODUCT_VERSION,
        "ApiVersion": api,
        "MinAPIVersion": oldest,
        "GitCommit": "",
        "GoVersion": details["GoVersion"],
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": kernel,
        "BuildTime": "",
    }


def info(config: EngineConfig, counted: Counted, *, identity: str) -> dict[str, Any]:
    """The answer of `GET /info`."""
    release = _os_release()
    cgroup = "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1"
    mirrors = list(config.registry_mirrors)
    return {
        "ID": identity,
        "Containers": counted.containers,
        "ContainersRunning": counted.running,
        "ContainersPaused": counted.paused,
        "ContainersStopped": counted.containers - counted.running - counted.paused,
        "Images": counted.images,
        "Driver": "overlay2",
        "DriverStatus": [
            ["Backing Filesystem", _file_system(config.root)],
            ["Supports d_type", "true"],
            ["Native Overlay Diff", "true"],
        ],
        "Plugins": {
            "Volume": ["local"],
            # Without a cluster there is nothing for an overlay network to span.
            "Network": ["bridge", "host", "macvlan", "null", *(["overlay"] if config.cluster_url else [])],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "IPv4Forwarding": _read("/proc/sys/net/ipv4/ip_forward") == "1",
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a kernel's directory, not a user's
        "OomKillDisable": cgroup == "1",
        "NGoroutines": 0,
        "SystemTime": rfc3339(now()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": cgroup,
        "NEventsListener": 0,
        "KernelVersion": platform.release(),
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "AllowNondistributableArtifactsCIDRs": [],
            "AllowNondistributableArtifactsHostnames": [],
            "InsecureRegistryCIDRs": ["127.0.0.0/8", *(each for each in config.insecure_registries if "/" in each)],
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True},
                **{
                    name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
                    for name in config.insecure_registries
                    if "/" not in name
                },
            },
            "Mirrors": mirrors,
        },
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": str(config.root),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": platform.node(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": PRODUCT_VERSION,
        "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
        "DefaultRuntime": "runc",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "docker-init",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": _program_version("runc"), "Expected": _program_version("runc")},
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": [
            *(["name=apparmor"] if apparmor.available() else []),
            "name=seccomp,profile=builtin",
            *(["name=cgroupns"] if cgroup == "2" else []),
        ],
        "Warnings": [f"WARNING: no AppArmor profile: {fault}"] if (fault := apparmor.load_default()) else None,
    }


@lru_cache(maxsize=8)
def _program_version(name: str) -> str:
    """The number that `NAME --version` prints first; empty when it is not there."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return ""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _NUMBER.search(done.stdout)
    return match[0] if match else ""


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _file_system(path: Path) -> str:
    """The type of the file system that holds *path*, by its longest mount point in /proc/self/mounts."""
    best, kind = "", ""
    for line in _read("/proc/self/mounts").splitlines():
        _, point, found, *_ = line.split(" ")
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, kind = point, found
    return {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}.get(kind, kind)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
