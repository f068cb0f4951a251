"""What a container may be asked to be: the request that makes it, parsed (Docker Engine API, `ContainerCreate`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from engine.images.model import HealthCheck
from engine.networks.model import PublishedPort


class RestartPolicyName(StrEnum):
    NO = "no"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"
    ON_FAILURE = "on-failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    name: RestartPolicyName = RestartPolicyName.NO
    maximum_retries: int = 0
    """Only for `on-failure`; 0 means no limit."""


class MountKind(StrEnum):
    BIND = "bind"
    VOLUME = "volume"


class ReadOnly(StrEnum):
    """How far down a read-only bind reaches (Docker Engine API, `BindOptions`)."""

    BEST = "best"
    """What is mounted below the source as well, where the runtime and the kernel can do that."""
    TOP = "top"
    FORCED = "forced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host path or a volume that a container sees at `target`."""

    target: str
    kind: MountKind = MountKind.BIND
    source: str = ""
    """An absolute path of the host, or a volume's name; an empty one asks for a volume of its own."""
    own: bool = False
    """Whether the volume was made for this container, which gave it no name."""
    read_only: bool = False
    recursion: ReadOnly = ReadOnly.BEST
    propagation: str = "rprivate"
    recursive: bool = True
    """Whether what is mounted below a host path comes along."""
    make_source: bool = True
    """Whether a directory is made where the host path is missing."""
    copy_up: bool = True
    """Whether an empty volume is filled with what the image has at the target."""
    subpath: str = ""
    """A directory or file in the volume to mount instead of all of it."""
    driver: str = "local"
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device node of the host, or a directory of them, that a container gets."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRate:
    """A limit or weight of one block device: bytes or operations a second, or 10 to 1000."""

    path: str
    rate: int


UNLIMITED: Final = 1 << 62
"""Bytes of a log that is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What becomes of what a container prints."""

    driver: str = "json-file"
    """`json-file` and `local` are the same file here; `none` keeps nothing."""
    max_size: int = 20 * 1024 * 1024
    """Bytes of one file."""
    max_files: int = 5
    attributes: tuple[str, ...] = ()
    """`NAME=value`: what `docker logs --details` puts before each line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """What to run (Docker Engine API, `ContainerConfig`), before the image's defaults are merged in."""

    image: str
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    """`None` takes the image's; an empty tuple takes none at all."""
    env: tuple[str, ...] = ()
    """`NAME=value`; a bare `NAME` removes the image's."""
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    """Places at which volumes of the container's own are mounted."""
    health: HealthCheck = field(default_factory=HealthCheck)
    shell: tuple[str, ...] = ()
    """What runs a health check that is a line of text; `()` is `/bin/sh -c`."""
    mac_address: str = ""
    network_disabled: bool = False
    """Whether it begins with its loopback alone, in no network; it may be connected to some later."""
    stop_signal: str = ""
    stop_timeout: int | None = None
    """Seconds; `None` is Docker's 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits, which may be changed while a container runs (Docker Engine API, `Resources`). 0 and "" are no limit."""

    memory: int = 0
    """Bytes."""
    memory_swap: int = 0
    """Bytes of memory and swap together; -1 is no limit, 0 is twice the memory."""
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    """0 to 100; `None` is the kernel's."""
    oom_kill_disable: bool = False
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    """Microseconds, as `cpu_quota`."""
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    """`None` takes Havre's default of 2048; 0 or less is no limit."""
    blkio_weight: int = 0
    blkio_weight_devices: tuple[DeviceRate, ...] = ()
    blkio_read_bps: tuple[DeviceRate, ...] = ()
    blkio_write_bps: tuple[DeviceRate, ...] = ()
    blkio_read_iops: tuple[DeviceRate, ...] = ()
    blkio_write_iops: tuple[DeviceRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig(Resources):
    """How the host runs it (Docker Engine API, `HostConfig`)."""

    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    volumes_from: tuple[str, ...] = ()
    """Containers whose mounts this one has too, `ID` or `ID:ro`."""
    network_mode: str = "default"
    """A network, `host`, `none`, or `container:ID`."""
    pid_mode: str = ""
    """"" is a namespace of its own; `host`, or `container:ID`."""
    ipc_mode: str = "private"
    """`private`, `shareable`, `none`, `host`, or `container:ID`."""
    uts_mode: str = ""
    """"" or `host`."""
    cgroupns_mode: str = ""
    """`private`, `host`; "" takes what is usual on this host."""
    cgroup_parent: str = ""
    ports: tuple[PublishedPort, ...] = ()
    publish_all: bool = False
    restart: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = ""
    """"" is the default profile, `unconfined` none, anything else the profile's JSON."""
    apparmor: str = ""
    """"" is the default profile, `unconfined` none, anything else the name of one that the host has loaded."""
    masked_paths: tuple[str, ...] | None = None
    """`None` takes Docker's, as `readonly_paths` does."""
    readonly_paths: tuple[str, ...] | None = None
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    read_only_rootfs: bool = False
    console_size: tuple[int, int] = (0, 0)
    """Rows and columns that a terminal begins with; zeros leave it to the runtime."""
    init: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """`container:alias`, on the default bridge; by the other's id once the container is made."""
    group_add: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 64 * 1024 * 1024
    oom_score_adj: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    log: LogOptions = LogOptions()
