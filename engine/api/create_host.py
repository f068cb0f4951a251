"""HostConfig, how the host is to run a container (Docker Engine API, `HostConfig`)."""

from __future__ import annotations

from typing import Any, Final

from engine.api import create_devices, create_logs, create_mounts, create_ports, create_resources, create_security
from engine.api.fields import Fields
from engine.containers.options import ContainerConfig, HostConfig, RestartPolicy, RestartPolicyName, Ulimit
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
    "Links": (),
    "DeviceRequests": (),
    "StorageOpt": (),
    "Cgroup": (),
    "UsernsMode": ("private", "host"),
    "Runtime": ("runc", "io.containerd.runc.v2"),
    "Isolation": ("default",),
}
"""Options that change what a container can see or do: not honouring them in silence would be wrong. With the values
that this engine has anyway, beside nothing at all."""

_IGNORED: Final[dict[str, tuple[object, ...]]] = {
    "KernelMemory": (),
    "KernelMemoryTCP": (),
    "CpuCount": (),
    "CpuPercent": (),
    "IOMaximumIOps": (),
    "IOMaximumBandwidth": (),
}
"""Options of other systems or of kernels long gone: the container runs without them, and its maker is told."""

_KNOWN: Final = {name.lower() for name in (*DEFAULTS, *_OPTIONAL)}


def parse(host: Fields, config: ContainerConfig, warnings: list[str]) -> HostConfig:
    """The typed HostConfig of a container with that *config*.

    What cannot be honoured is an error or, where the container does without, a warning.
    """
    _check_unsupported(host, warnings)
    security = create_security.parse(host, warnings)
    return HostConfig(
        **create_resources.parse(host),
        mounts=create_mounts.mounts(host),
        tmpfs=create_mounts.tmpfs(host),
        volumes_from=host.texts("VolumesFrom"),
        network_mode=host.text("NetworkMode") or "default",
        pid_mode=_sharing(host, "PidMode", others=True),
        ipc_mode=_sharing(host, "IpcMode", "shareable", "none", others=True) or "private",
        uts_mode=_sharing(host, "UTSMode"),
        cgroupns_mode=_cgroupns(host),
        cgroup_parent=host.text("CgroupParent"),
        ports=create_ports.published(host),
        publish_all=host.flag("PublishAllPorts"),
        restart=restart_policy(host.section("RestartPolicy")),
        auto_remove=host.flag("AutoRemove"),
        privileged=host.flag("Privileged"),
        cap_add=host.texts("CapAdd"),
        cap_drop=host.texts("CapDrop"),
        no_new_privileges=security.no_new_privileges,
        seccomp=security.seccomp,
        masked_paths=() if security.unconfined_paths else host.optional_texts("MaskedPaths"),
        readonly_paths=() if security.unconfined_paths else host.optional_texts("ReadonlyPaths"),
        devices=create_devices.devices(host),
        device_cgroup_rules=create_devices.rules(host),
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
        shm_size=create_resources.not_negative(host, "ShmSize") or SHM_SIZE,
        oom_score_adj=host.integer("OomScoreAdj"),
        annotations=host.text_map("Annotations"),
        log=create_logs.parse(host.section("LogConfig"), config, warnings),
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


def _sharing(host: Fields, name: str, *words: str, others: bool = False) -> str:
    """A mode of a namespace: of its own (""), the host's, one of *words*, or another container's."""
    mode = host.text(name)
    if mode in ("", "private"):
        return ""
    if mode == "host" or mode in words or (others and mode.startswith("container:")):
        return mode
    raise InvalidParameter(f"HostConfig.{name}: invalid mode {mode[:60]!r}")


def _cgroupns(host: Fields) -> str:
    mode = host.text("CgroupnsMode")
    if mode not in ("", "private", "host"):
        raise InvalidParameter(f"HostConfig.CgroupnsMode: invalid mode {mode[:60]!r}, expected private or host")
    return mode


def restart_policy(policy: Fields) -> RestartPolicy:
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
