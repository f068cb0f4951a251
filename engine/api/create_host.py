"""HostConfig, how the host is to run a container (Docker Engine API, `HostConfig`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

from engine.api import create_devices, create_logs, create_mounts, create_ports, create_resources, create_security
from engine.api.console import console_size
from engine.api.fields import Fields
from engine.containers.options import ContainerConfig, HostConfig, RestartPolicy, RestartPolicyName, Ulimit
from engine.errors import NotImplementedHere

SHM_SIZE: Final = 64 * 1024 * 1024

DEFAULTS: Final[dict[str, Any]] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "default",
    "PortBindings": None,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": SHM_SIZE,
    "Runtime": "runc",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
    "MaskedPaths": None,
    "ReadonlyPaths": None,
}
"""What inspect shows where the body says nothing."""

OPTIONAL: Final = frozenset(
    {"Mounts", "Tmpfs", "Sysctls", "Init", "StorageOpt", "Annotations", "KernelMemory", "KernelMemoryTCP"}
)

_ORDERS: Final = ("run.oci.", "org.systemd.property.")
"""What crun(1) and runc take from annotations."""
_REFUSED: Final[dict[str, str]] = {
    "DeviceRequests": "this engine has no device drivers: name the devices themselves (Devices)",
    "StorageOpt": "the writable layer has no limit of its own: bound the file system of the engine's root",
}
"""Options that change what a container can see or do, and why they are refused: to pass them over in silence would be
wrong."""

_IGNORED: Final = (
    "Cgroup",
    "KernelMemory",
    "KernelMemoryTCP",
    "CpuCount",
    "CpuPercent",
    "IOMaximumIOps",
    "IOMaximumBandwidth",
)
"""Options of other systems or of kernels long gone, and one that dockerd takes and reads nowhere (`Cgroup`): the
container runs without them, and its maker is told."""

_KEPT: Final[dict[str, Callable[[Fields, str], object]]] = {
    "ContainerIDFile": Fields.text,
    "DeviceRequests": Fields.objects,
    "StorageOpt": Fields.text_map,
    "KernelMemory": Fields.integer,
    "KernelMemoryTCP": Fields.integer,
    "CpuCount": Fields.integer,
    "CpuPercent": Fields.integer,
    "IOMaximumIOps": Fields.integer,
    "IOMaximumBandwidth": Fields.integer,
}
"""What nobody reads any further: its type must be right all the same, since inspect gives it back."""

_ONLY: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "UsernsMode": ("invalid user namespace mode: {}", ("", "private", "host")),
    "Runtime": ("Unknown runtime specified {}", ("", "runc", "io.containerd.runc.v2")),
    "Isolation": ("Invalid isolation: {} - linux only supports 'default'", ("", "default")),
}
"""Words of which this engine knows a few: what to say to another, and those that it knows."""


def parse(host: Fields, config: ContainerConfig, warnings: list[str]) -> HostConfig:
    """The typed HostConfig of a container with that *config*.

    What cannot be honoured is an error or, where the container does without, a warning.
    """
    _check_kept(host)
    _check_unsupported(host, warnings)
    security = create_security.parse(host, warnings)
    return HostConfig(
        **create_resources.parse(host),
        mounts=create_mounts.mounts(host),
        tmpfs=create_mounts.tmpfs(host),
        volumes_from=host.texts("VolumesFrom"),
        network_mode=_network_mode(host, config),
        pid_mode=_sharing(host, "PidMode", others=True),
        ipc_mode=_sharing(host, "IpcMode", "shareable", "none", others=True) or "private",
        uts_mode=_sharing(host, "UTSMode"),
        cgroupns_mode=_cgroupns(host),
        cgroup_parent=_cgroup_parent(host),
        ports=create_ports.published(host),
        publish_all=host.flag("PublishAllPorts"),
        restart=restart_policy(host.section("RestartPolicy")),
        auto_remove=host.flag("AutoRemove"),
        privileged=host.flag("Privileged"),
        cap_add=host.words("CapAdd") or (),
        cap_drop=host.words("CapDrop") or (),
        no_new_privileges=security.no_new_privileges,
        seccomp=security.seccomp,
        apparmor=security.apparmor,
        masked_paths=() if security.unconfined_paths else host.optional_texts("MaskedPaths"),
        readonly_paths=() if security.unconfined_paths else host.optional_texts("ReadonlyPaths"),
        devices=create_devices.devices(host),
        device_cgroup_rules=create_devices.rules(host),
        read_only_rootfs=host.flag("ReadonlyRootfs"),
        console_size=console_size(host),
        init=host.flag("Init"),
        dns=_addresses(host, "Dns"),
        dns_search=_bare(host, "DnsSearch"),
        dns_options=_bare(host, "DnsOptions"),
        extra_hosts=_extra_hosts(host),
        links=host.texts("Links"),
        group_add=host.texts("GroupAdd"),
        ulimits=tuple(
            Ulimit(name=limit.text("Name"), soft=limit.integer("Soft"), hard=limit.integer("Hard"))
            for limit in host.objects("Ulimits")
        ),
        sysctls=host.text_map("Sysctls"),
        shm_size=create_resources.not_negative(host, "ShmSize") or SHM_SIZE,
        oom_score_adj=host.integer("OomScoreAdj"),
        annotations=_annotations(host),
        log=create_logs.parse(host.section("LogConfig"), config, warnings),
    )


def _check_kept(host: Fields) -> None:
    if (cgroup := host.text("Cgroup")) and not cgroup.startswith("container:"):
        raise host.refused("Cgroup", f"invalid cgroup: {cgroup[:60]}, expected container:ID")
    for name, read in _KEPT.items():
        read(host, name)
    for name, (problem, words) in _ONLY.items():
        if (value := host.text(name)) not in words:
            raise host.refused(name, problem.format(value[:60]))


def _annotations(host: Fields) -> dict[str, str]:
    """Notes for others. Those that the runtime obeys are refused: they replace filters and name files of the host."""
    found = host.text_map("Annotations")
    for name in found:
        if name.startswith(_ORDERS):
            raise host.refused("Annotations", f"{name[:100]!r} is an order to the OCI runtime, not a note")
    return dict(found)


def _check_unsupported(host: Fields, warnings: list[str]) -> None:
    for name, reason in _REFUSED.items():
        if host.get(name):
            raise NotImplementedHere(f"HostConfig.{name}: {reason}")
    warnings += [
        f"HostConfig.{name} is not supported by this engine and has been ignored" for name in _IGNORED if host.get(name)
    ]


def _sharing(host: Fields, name: str, *words: str, others: bool = False) -> str:
    """A mode of a namespace: of its own (""), the host's, one of *words*, or another container's."""
    mode = host.text(name)
    if mode in ("", "private"):
        return ""
    if mode == "host" or mode in words or (others and mode.startswith("container:")):
        return mode
    raise host.refused(name, f"invalid {name.removesuffix('Mode').upper()} mode: {mode[:60]}")


def _network_mode(host: Fields, config: ContainerConfig) -> str:
    """A network's name or `host`, `none`, `container:ID`; of a container whose network is disabled it is no matter."""
    mode = host.text("NetworkMode") or "default"
    return "none" if config.network_disabled else mode


def _cgroup_parent(host: Fields) -> str:
    path = host.text("CgroupParent")
    if not path.isprintable():
        raise host.refused("CgroupParent", f"a path of control groups, got {path[:100]!r}")
    if ".." in path.split("/"):
        raise host.refused("CgroupParent", f"must not lead upwards, got {path[:100]!r}")
    return path


def _cgroupns(host: Fields) -> str:
    mode = host.text("CgroupnsMode")
    if mode not in ("", "private", "host"):
        raise host.refused("CgroupnsMode", f"invalid cgroup namespace mode: {mode[:60]}, expected private or host")
    return mode


def _addresses(host: Fields, name: str) -> tuple[str, ...]:
    found = host.texts(name)
    for number, text in enumerate(found):
        if not _is_address(text):
            raise host.refused(f"{name}[{number}]", f"{text[:60]!r} is no IP address")
    return found


def _is_address(text: str) -> bool:
    """Whether *text* is one; a scope, which may be any text at all, is none of a container's business."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _bare(host: Fields, name: str) -> tuple[str, ...]:
    """Words of a line of resolv.conf(5)."""
    found = host.texts(name)
    for number, text in enumerate(found):
        if text.split() != [text]:
            raise host.refused(f"{name}[{number}]", f"one word without spaces, got {text[:60]!r}")
    return found


def _extra_hosts(host: Fields) -> tuple[str, ...]:
    found = host.texts("ExtraHosts")
    for number, text in enumerate(found):
        name, colon, address = text.partition(":")
        if not colon or name.split() != [name]:
            raise host.refused(f"ExtraHosts[{number}]", f'bad format for add-host: "{text[:200]}": give NAME:ADDRESS')
        if address != "host-gateway" and not _is_address(address.strip("[]")):
            raise host.refused(f"ExtraHosts[{number}]", f'invalid IP address in add-host: "{address[:60]}"')
    return found


def restart_policy(policy: Fields) -> RestartPolicy:
    text = policy.text("Name") or "no"
    retries = policy.integer("MaximumRetryCount")
    try:
        name = RestartPolicyName(text)
    except ValueError as error:
        raise policy.refused(
            "Name",
            f"invalid restart policy '{text[:40]}': unknown policy; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ) from error
    if retries and name is not RestartPolicyName.ON_FAILURE:
        raise policy.refused(
            "MaximumRetryCount", "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if retries < 0:
        raise policy.refused("MaximumRetryCount", "invalid restart policy: maximum retry count cannot be negative")
    return RestartPolicy(name=name, maximum_retries=retries)
