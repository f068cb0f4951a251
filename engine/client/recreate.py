"""From a container that is there to the request that would make it again, nothing lost.

Inspect tells the settings of image and container in one. What the container has from its image is taken out, so that
another image, or a newer one of the same name, brings its own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from engine.client.create import BindMount, CreateContainer, Device, HealthCheck, Ulimit
from engine.client.create_body import NO_NEW_PRIVILEGES
from engine.client.model import Port

Json = Mapping[str, Any]

_OF_THE_IMAGE: Final = ("Cmd", "Entrypoint", "WorkingDir", "User", "StopSignal", "Healthcheck", "Shell", "OnBuild")
_MEANS_THE_DEFAULT: Final = {"LogConfig": {"Type": "json-file", "Config": {}}, "ShmSize": 64 * 1024 * 1024}
_PLAIN_MOUNT: Final = frozenset({"Type", "Source", "Target", "ReadOnly", "Consistency"})


def creation_body(container: Json, image: Json | None) -> dict[str, Any]:
    """The body that makes *container* again; both are answers of inspect, *image* `None` where it is gone."""
    config = copy.deepcopy(dict(container.get("Config") or {}))
    origin: Json = ((image or {}).get("Config")) or {}
    # An entrypoint of its own shuts the image's command out, even one with the same words.
    own_entrypoint = bool(config.get("Entrypoint")) and config["Entrypoint"] != origin.get("Entrypoint")
    for name in _OF_THE_IMAGE:
        same = config.get(name) == origin.get(name) and not (name == "Cmd" and own_entrypoint)
        if name in config and (same or not config[name]):
            del config[name]
    known = set(origin.get("Env") or ())
    config["Env"] = [variable for variable in config.get("Env") or () if variable not in known]
    labels: Json = origin.get("Labels") or {}
    config["Labels"] = {k: v for k, v in (config.get("Labels") or {}).items() if labels.get(k) != v}
    for name in ("ExposedPorts", "Volumes"):
        config[name] = {key: {} for key in config.get(name) or {} if key not in (origin.get(name) or {})}
    if config.get("Hostname") == container["Id"][:12]:
        config["Hostname"] = ""
    # It was given to this container, and two cannot have it.
    config.pop("MacAddress", None)
    host = copy.deepcopy(dict(container.get("HostConfig") or {}))
    for name, default in _MEANS_THE_DEFAULT.items():
        if host.get(name) == default:
            del host[name]
    host.pop("ContainerIDFile", None)
    _plain_mounts(host)
    config["HostConfig"] = host
    return config


def endpoints(container: Json) -> dict[str, dict[str, Any]]:
    """The networks of *container* but the default ones, with what it asked of each: addresses, aliases, links."""
    found = {}
    for name, settings in ((container.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if name in ("bridge", "host", "none") or name.startswith("container:"):
            continue
        asked = {key: settings[key] for key in ("IPAMConfig", "Links", "DriverOpts") if settings.get(key)}
        aliases = [alias for alias in settings.get("Aliases") or () if alias != container["Id"][:12]]
        found[name] = asked | ({"Aliases": aliases} if aliases else {})
    return found


def volumes(container: Json) -> dict[str, str]:
    """The volumes of *container* that its settings do not name, by their place: those that it was given as its own."""
    host: Json = container.get("HostConfig") or {}
    named = {bind.split(":")[1] for bind in host.get("Binds") or () if ":" in bind}
    named |= {mount["Target"] for mount in host.get("Mounts") or () if mount.get("Source")}
    return {
        mount["Destination"]: mount["Name"]
        for mount in container.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount.get("Name") and mount["Destination"] not in named
    }


def request_of(body: Json, *, name: str = "") -> CreateContainer:
    """The request whose body is *body*, which becomes its base."""
    host: Json = body.get("HostConfig") or {}
    restart: Json = host.get("RestartPolicy") or {}
    log: Json = host.get("LogConfig") or {}
    check: Json = body.get("Healthcheck") or {}
    return CreateContainer(
        image=body.get("Image", ""),
        name=name,
        cmd=_words(body.get("Cmd")),
        entrypoint=_words(body.get("Entrypoint")),
        env=tuple(body.get("Env") or ()),
        working_dir=body.get("WorkingDir") or "",
        user=body.get("User") or "",
        group_add=tuple(host.get("GroupAdd") or ()),
        tty=bool(body.get("Tty")),
        open_stdin=bool(body.get("OpenStdin")),
        init=bool(host.get("Init")),
        stop_signal=body.get("StopSignal") or "",
        stop_timeout=body.get("StopTimeout"),
        auto_remove=bool(host.get("AutoRemove")),
        restart_policy=restart.get("Name") or "no",
        maximum_retries=restart.get("MaximumRetryCount") or 0,
        health=_health(check) if any(check.values()) else None,
        labels=dict(body.get("Labels") or {}),
        network=_network(host.get("NetworkMode") or ""),
        ports=_ports(host.get("PortBindings") or {}, body.get("ExposedPorts") or {}),
        publish_all=bool(host.get("PublishAllPorts")),
        hostname=body.get("Hostname") or "",
        domainname=body.get("Domainname") or "",
        extra_hosts=tuple(host.get("ExtraHosts") or ()),
        dns=tuple(host.get("Dns") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        binds=tuple(_bind(text) for text in host.get("Binds") or () if ":" in text),
        tmpfs=dict(host.get("Tmpfs") or {}),
        shm_size=host.get("ShmSize") or 0,
        read_only=bool(host.get("ReadonlyRootfs")),
        memory=host.get("Memory") or 0,
        memory_reservation=host.get("MemoryReservation") or 0,
        # Engines write down twice the memory where nothing was said.
        memory_swap=None if host.get("MemorySwap") == 2 * (host.get("Memory") or 0) else host.get("MemorySwap"),
        nano_cpus=host.get("NanoCpus") or 0,
        cpu_shares=host.get("CpuShares") or 0,
        cpuset_cpus=host.get("CpusetCpus") or "",
        pids_limit=host.get("PidsLimit"),
        ulimits=tuple(
            Ulimit(name=each["Name"], soft=each.get("Soft") or 0, hard=each.get("Hard") or 0)
            for each in host.get("Ulimits") or ()
        ),
        log_driver=log.get("Type") or "",
        log_options=dict(log.get("Config") or {}),
        privileged=bool(host.get("Privileged")),
        no_new_privileges=bool(NO_NEW_PRIVILEGES & set(host.get("SecurityOpt") or ())),
        cap_add=tuple(host.get("CapAdd") or ()),
        cap_drop=tuple(host.get("CapDrop") or ()),
        devices=tuple(
            Device(
                source=each["PathOnHost"],
                target=each.get("PathInContainer") or each["PathOnHost"],
                permissions=each.get("CgroupPermissions") or "rwm",
            )
            for each in host.get("Devices") or ()
        ),
        sysctls=dict(host.get("Sysctls") or {}),
        pid_mode=host.get("PidMode") or "",
        ipc_mode="" if host.get("IpcMode") == "private" else host.get("IpcMode") or "",
        base=body,
    )


def another(request: CreateContainer) -> CreateContainer:
    """*request* for a second container beside the first: a name and a host port can be had only once."""
    ports = tuple(replace(port, host_port=0 if port.host_port else port.host_port) for port in request.ports)
    return replace(request, name="", ports=ports)


def _plain_mounts(host: dict[str, Any]) -> None:
    """Turn the mounts that a bind or a tmpfs says as well into that; those that say more stay."""
    rest, binds, tmpfs = [], list(host.get("Binds") or ()), dict(host.get("Tmpfs") or {})
    for mount in host.get("Mounts") or ():
        kind, source, target = mount.get("Type"), mount.get("Source") or "", mount.get("Target") or ""
        more = {key for key, value in mount.items() if value and key not in _PLAIN_MOUNT}
        if kind in ("bind", "volume") and source and not more and ":" not in source + target:
            binds.append(f"{source}:{target}" + (":ro" if mount.get("ReadOnly") else ""))
        elif kind == "tmpfs" and not more and not mount.get("ReadOnly"):
            tmpfs[target] = ""
        else:
            rest.append(mount)
    host |= {"Binds": binds, "Tmpfs": tmpfs, "Mounts": rest}
    if not rest:
        del host["Mounts"]


def _bind(text: str) -> BindMount:
    source, target, *more = text.split(":")
    words = [word for word in (more[0].split(",") if more else ()) if word]
    options = ",".join(word for word in words if word not in ("ro", "rw"))
    return BindMount(source=source, target=target, read_only="ro" in words, options=options)


def _ports(bindings: Json, exposed: Json) -> tuple[Port, ...]:
    found = []
    for spec in {**exposed, **bindings}:
        number, _, protocol = spec.partition("/")
        plain = Port(container_port=int(number), protocol=protocol or "tcp")
        rows = bindings.get(spec) or ()
        found += [
            replace(plain, host_ip=row.get("HostIp") or "", host_port=int(row.get("HostPort") or 0)) for row in rows
        ] or [plain]
    return tuple(sorted(found, key=lambda port: (port.container_port, port.protocol, port.host_port or 0)))


def _health(check: Json) -> HealthCheck:
    return HealthCheck(
        test=tuple(check.get("Test") or ()),
        interval=check.get("Interval") or 0,
        timeout=check.get("Timeout") or 0,
        start_period=check.get("StartPeriod") or 0,
        start_interval=check.get("StartInterval") or 0,
        retries=check.get("Retries") or 0,
    )


def _network(mode: str) -> str:
    return "" if mode == "default" else mode


def _words(value: object) -> tuple[str, ...] | None:
    return tuple(str(word) for word in value) if isinstance(value, list | tuple) else None
