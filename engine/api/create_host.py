"""HostConfig, how the host is to run a container (Docker Engine API, `HostConfig`)."""

from __future__ import annotations

from typing import Any, Final

from engine.api import create_mounts, create_ports
from engine.api.fields import Fields
from engine.containers.model import HostConfig, RestartPolicy, RestartPolicyName, Ulimit
from engine.errors import InvalidParameter, NotImplementedHere

SHM_SIZE: Final = 64 * 1024 * 1024

DEFAULTS: Final[dict[str, Any]] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
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
    "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [],
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": [],
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": [],
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
    "MaskedPaths": None,
    "ReadonlyPaths": None,
}
"""What inspect shows where the body says nothing."""

_OPTIONAL: Final = frozenset(
    {"Mounts", "Tmpfs", "Sysctls", "Init", "StorageOpt", "Annotations", "KernelMemory", "KernelMemoryTCP"}
)

_REFUSED: Final[dict[str, tuple[object, ...]]] = {
    "VolumesFrom": (),
    "Links": (),
    "Devices": (),
    "DeviceCgroupRules": (),
    "DeviceRequests": (),
    "StorageOpt": (),
    "CgroupParent": (),
    "Cgroup": (),
    "MaskedPaths": (),
    "ReadonlyPaths": (),
    "IpcMode": ("private", "shareable"),
    "PidMode": ("private",),
    "UTSMode": ("private",),
    "UsernsMode": ("private",),
    "CgroupnsMode": ("private",),
    "Runtime": ("runc",),
    "Isolation": ("default",),
    "VolumeDriver": ("local",),
    "CpuRealtimePeriod": (),
    "CpuRealtimeRuntime": (),
    "OomKillDisable": (),
}
"""Options that change what a container can see or do: not honouring them in silence would be wrong. With the values
that this engine has anyway, beside nothing at all."""

_IGNORED: Final[dict[str, tuple[object, ...]]] = {
    "BlkioWeight": (),
    "BlkioWeightDevice": (),
    "BlkioDeviceReadBps": (),
    "BlkioDeviceWriteBps": (),
    "BlkioDeviceReadIOps": (),
    "BlkioDeviceWriteIOps": (),
    "OomScoreAdj": (),
    "MemorySwappiness": (-1,),
    "KernelMemory": (),
    "KernelMemoryTCP": (),
    "Annotations": (),
    "CpuCount": (),
    "CpuPercent": (),
    "IOMaximumIOps": (),
    "IOMaximumBandwidth": (),
}
"""Options that only tune: the container runs without them, and its maker is told."""

_KNOWN: Final = {name.lower() for name in (*DEFAULTS, *_OPTIONAL)}


def parse(host: Fields, warnings: list[str]) -> HostConfig:
    """The typed HostConfig; what cannot be honoured is an error or, where the container does without, a warning."""
    _check_unsupported(host, warnings)
    no_new_privileges, seccomp = _security(host)
    privileged = host.flag("Privileged")
    return HostConfig(
        binds=create_mounts.binds(host),
        tmpfs=create_mounts.tmpfs(host),
        network_mode=_network_mode(host),
        ports=create_ports.published(host),
        publish_all=host.flag("PublishAllPorts"),
        restart=_restart(host.section("RestartPolicy")),
        auto_remove=host.flag("AutoRemove"),
        privileged=privileged,
        cap_add=host.texts("CapAdd"),
        cap_drop=host.texts("CapDrop"),
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        read_only_rootfs=host.flag("ReadonlyRootfs"),
        init=host.flag("Init"),
        dns=host.texts("Dns"),
        dns_search=host.texts("DnsSearch"),
        dns_options=host.texts("DnsOptions"),
        extra_hosts=host.texts("ExtraHosts"),
        group_add=host.texts("GroupAdd"),
        ulimits=tuple(
            Ulimit(name=limit.text("Name"), soft=limit.integer("Soft"), hard=limit.integer("Hard"))
            for limit in host.objects("Ulimits")
        ),
        sysctls=host.text_map("Sysctls"),
        shm_size=_not_negative(host, "ShmSize") or SHM_SIZE,
        memory=_not_negative(host, "Memory"),
        memory_swap=host.integer("MemorySwap"),
        memory_reservation=_not_negative(host, "MemoryReservation"),
        nano_cpus=_not_negative(host, "NanoCpus"),
        cpu_shares=_not_negative(host, "CpuShares"),
        cpu_period=_not_negative(host, "CpuPeriod"),
        cpu_quota=host.integer("CpuQuota"),
        cpuset_cpus=host.text("CpusetCpus"),
        cpuset_mems=host.text("CpusetMems"),
        pids_limit=host.optional_integer("PidsLimit") or None,
    )


def _check_unsupported(host: Fields, warnings: list[str]) -> None:
    for name, harmless in _REFUSED.items():
        value = host.get(name)
        if value and value not in harmless:
            raise NotImplementedHere(f"HostConfig.{name}: not supported by this engine yet (got {str(value)[:80]})")
    for name, harmless in _IGNORED.items():
        value = host.get(name)
        if value and value not in harmless:
            warnings.append(f"HostConfig.{name} is not supported by this engine and has been ignored")
    warnings += [
        f"HostConfig.{name[:60]} is not known to this engine and has been ignored"
        for name in host.names
        if name.lower() not in _KNOWN and host.get(name)
    ]
    log = host.section("LogConfig")
    if log.text("Type") not in ("", "json-file", "local"):
        raise NotImplementedHere(
            f"HostConfig.LogConfig.Type: logger {log.text('Type')[:40]!r} is not supported, use json-file"
        )
    if log.text_map("Config"):
        warnings.append("HostConfig.LogConfig.Config has been ignored: logs are rotated at 20 MiB, five files are kept")


def _network_mode(host: Fields) -> str:
    mode = host.text("NetworkMode") or "default"
    if mode.startswith("container:"):
        raise NotImplementedHere("HostConfig.NetworkMode: joining another container's network is not supported yet")
    return mode


def _restart(policy: Fields) -> RestartPolicy:
    text = policy.text("Name") or "no"
    retries = policy.integer("MaximumRetryCount")
    try:
        name = RestartPolicyName(text)
    except ValueError as error:
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{text[:40]}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ) from error
    if retries and name is not RestartPolicyName.ON_FAILURE:
        raise InvalidParameter("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    return RestartPolicy(name=name, maximum_retries=retries)


def _security(host: Fields) -> tuple[bool, str]:
    """`SecurityOpt`: whether privileges can be gained, and the seccomp profile."""
    no_new_privileges, seccomp = False, ""
    for option in host.texts("SecurityOpt"):
        key, _, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if key == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise InvalidParameter(f'invalid --security-opt 2: "{option[:60]}"')
            no_new_privileges = value != "false"
        elif key == "seccomp":
            seccomp = "" if value in ("builtin", "default") else value
        elif (key, value) in (("label", "disable"), ("apparmor", "unconfined"), ("systempaths", "confined")):
            continue  # this engine uses neither SELinux nor AppArmor
        else:
            raise NotImplementedHere(f"HostConfig.SecurityOpt: {option[:60]!r} is not supported by this engine")
    return no_new_privileges, seccomp


def _not_negative(host: Fields, name: str) -> int:
    value = host.integer(name)
    if value < 0:
        raise InvalidParameter(f"HostConfig.{name}: must not be negative, got {value}")
    return value
