"""The body of `POST /containers/create` for a `CreateContainer` (Docker Engine API, `ContainerCreate`).

What a request has a field for is always written, or taken away, so that it holds whatever its base says; everything
else of the base stays.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from engine.client.create import CreateContainer, HealthCheck
from engine.client.model import Port

NO_NEW_PRIVILEGES: Final = frozenset({"no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"})
"""The ways in which a security option asks for it."""


def body(request: CreateContainer) -> dict[str, Any]:
    """The whole body, `HostConfig` in it."""
    config: dict[str, Any] = copy.deepcopy(dict(request.base))
    host: dict[str, Any] = config.pop("HostConfig", None) or {}
    config |= {
        "Image": request.image,
        "Env": list(request.env),
        "Tty": request.tty,
        "OpenStdin": request.open_stdin,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "WorkingDir": request.working_dir,
        "User": request.user,
        "Hostname": request.hostname,
        "Domainname": request.domainname,
        "Labels": dict(request.labels),
        "ExposedPorts": {_port(port): {} for port in request.ports},
    }
    _set(config, "Cmd", list(request.cmd) if request.cmd is not None else None)
    _set(config, "Entrypoint", list(request.entrypoint) if request.entrypoint is not None else None)
    _set(config, "StopSignal", request.stop_signal or None)
    _set(config, "StopTimeout", request.stop_timeout)
    _set(config, "Healthcheck", _health(request.health) if request.health is not None else None)
    config["HostConfig"] = host | _host(request, host)
    for name in ("Tmpfs", "Sysctls"):
        if not config["HostConfig"][name]:
            del config["HostConfig"][name]
    return config


def _host(request: CreateContainer, base: dict[str, Any]) -> dict[str, Any]:
    others = [option for option in base.get("SecurityOpt") or () if option not in NO_NEW_PRIVILEGES]
    return {
        "Binds": [str(bind) for bind in request.binds],
        "Tmpfs": dict(request.tmpfs),
        "PortBindings": _bindings(request.ports),
        "PublishAllPorts": request.publish_all,
        "NetworkMode": request.network or "default",
        "RestartPolicy": {"Name": request.restart_policy, "MaximumRetryCount": request.maximum_retries},
        "AutoRemove": request.auto_remove,
        "ExtraHosts": list(request.extra_hosts),
        "Dns": list(request.dns),
        "DnsSearch": list(request.dns_search),
        "GroupAdd": list(request.group_add),
        "Privileged": request.privileged,
        "ReadonlyRootfs": request.read_only,
        "CapAdd": list(request.cap_add),
        "CapDrop": list(request.cap_drop),
        "SecurityOpt": [*others, *(["no-new-privileges"] if request.no_new_privileges else [])],
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target, "CgroupPermissions": each.permissions}
            for each in request.devices
        ],
        "Sysctls": dict(request.sysctls),
        "PidMode": request.pid_mode,
        "IpcMode": request.ipc_mode,
        "Init": request.init or None,
        "Memory": request.memory,
        "MemoryReservation": request.memory_reservation,
        "MemorySwap": request.memory_swap or 0,
        "NanoCpus": request.nano_cpus,
        "CpuShares": request.cpu_shares,
        "CpusetCpus": request.cpuset_cpus,
        "PidsLimit": request.pids_limit,
        "ShmSize": request.shm_size,
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in request.ulimits],
        "LogConfig": {"Type": request.log_driver, "Config": dict(request.log_options)},
    }


def _health(check: HealthCheck) -> dict[str, Any]:
    told: dict[str, Any] = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "Retries": check.retries,
    }
    if check.start_interval:  # a newer word than the others: API 1.44
        told["StartInterval"] = check.start_interval
    return told


def _bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        if port.host_port is not None:
            found.setdefault(_port(port), []).append({"HostIp": port.host_ip, "HostPort": str(port.host_port or "")})
    return found


def _port(port: Port) -> str:
    return f"{port.container_port}/{port.protocol}"


def _set(config: dict[str, Any], name: str, value: object) -> None:
    config.pop(name, None)
    if value is not None:
        config[name] = value
