"""Containers, as the API tells them: a row of the list, and everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.api import create_resources, words
from engine.api.create_config import DEFAULTS as CONFIG_DEFAULTS
from engine.api.create_host import DEFAULTS as HOST_DEFAULTS
from engine.api.render_network import endpoint_settings
from engine.containers import apparmor
from engine.containers.model import Container, Exec, Health, Status
from engine.containers.options import MountKind
from engine.containers.spec.document import MASKED, READ_ONLY
from engine.networks.model import PublishedPort
from engine.types import SECOND, rfc3339


def summary(container: Container, *, now: int, root: Path, named: bool, linked: Sequence[str] = ()) -> dict[str, Any]:
    """A row of `GET /containers/json`, without sizes; *root* is the engine's directory of state.

    *named* tells whether its image is still called as it was, *linked* are what containers that link to it call it.
    """
    return {
        "Id": container.id,
        "Names": [f"/{container.name}", *linked],
        "Image": container.config.image if named else container.image,
        "ImageID": container.image,
        "Command": command(container),
        "Created": container.created // SECOND,
        "Ports": _summary_ports(container),
        "Labels": dict(container.config.labels),
        "State": str(container.state.status),
        "Status": words.status(container.state, now=now),
        "HostConfig": {"NetworkMode": container.host.network_mode},
        "NetworkSettings": {"Networks": _networks(container)},
        "Mounts": mounts(container, root / "volumes"),
    }


def command(container: Container) -> str:
    """Path and arguments in one line; what holds a space is quoted, as dockerd does."""
    return " ".join([container.path, *(f"'{part}'" if " " in part else part for part in container.args)])


def inspect(
    container: Container,
    *,
    root: Path,
    lower: Sequence[Path],
    exec_ids: Sequence[str] = (),
    links: Sequence[str] = (),
) -> dict[str, Any]:
    """The answer of `GET /containers/{id}/json`, without sizes.

    *root* is the engine's directory of state, *lower* are the layers below the container's own, topmost first.
    """
    directory = root / "containers" / container.id
    return {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": container.path,
        "Args": list(container.args),
        "State": _state(container),
        "Image": container.image,
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": container.log_path,
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": apparmor.profile_of(container.host),
        "ExecIDs": list(exec_ids) or None,
        "HostConfig": _host_config(container) | {"Links": list(links) or None},
        "GraphDriver": _graph_driver(root / "snapshots" / container.id, lower),
        "Mounts": mounts(container, root / "volumes"),
        "Config": CONFIG_DEFAULTS | dict(container.raw_config),
        "NetworkSettings": _network_settings(container),
    }


def exec_session(session: Exec) -> dict[str, Any]:
    """The answer of `GET /exec/{id}/json`."""
    config = session.config
    return {
        "ID": session.id,
        "Running": session.running,
        "ExitCode": session.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.cmd[0] if config.cmd else "",
            "arguments": list(config.cmd[1:]),
            "privileged": config.privileged,
            **({"user": config.user} if config.user else {}),
        },
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": False,
        "ContainerID": session.container_id,
        "DetachKeys": "",
        "Pid": session.pid,
    }


def mounts(container: Container, volumes: Path) -> list[dict[str, Any]]:
    """Host paths, volumes and file systems in memory, as mount points (Docker Engine API, `MountPoint`)."""
    return [
        {
            "Type": str(mount.kind),
            **({"Name": mount.source} if mount.kind is MountKind.VOLUME else {}),
            "Source": str(volumes / mount.source / "_data") if mount.kind is MountKind.VOLUME else mount.source,
            "Destination": mount.target,
            **({"Driver": "local"} if mount.kind is MountKind.VOLUME else {}),
            "Mode": "ro" if mount.read_only else "",
            "RW": not mount.read_only,
            "Propagation": "" if mount.kind is MountKind.VOLUME else mount.propagation,
        }
        for mount in container.host.mounts
    ] + [
        {"Type": "tmpfs", "Source": "", "Destination": place, "Mode": "", "RW": True, "Propagation": ""}
        for place in container.host.tmpfs
        if any(mount.get("Target") == place for mount in container.raw_host_config.get("Mounts") or ())
    ]


def _state(container: Container) -> dict[str, Any]:
    state = container.state
    return {
        "Status": str(state.status),
        "Running": state.running,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at),
        "FinishedAt": rfc3339(state.finished_at),
        **({"Health": health(state.health)} if state.health is not None else {}),
    }


def health(found: Health) -> dict[str, Any]:
    """`State.Health` of inspect."""
    return {
        "Status": str(found.status),
        "FailingStreak": found.failing_streak,
        "Log": [
            {
                "Start": rfc3339(result.start),
                "End": rfc3339(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in found.log
        ],
    }


def _host_config(container: Container) -> dict[str, Any]:
    wanted = container.host
    # What may have been changed since, or has been settled: limits, the policy, ids of other containers.
    host = HOST_DEFAULTS | dict(container.raw_host_config) | create_resources.document(wanted)
    host |= {"NetworkMode": wanted.network_mode, "PidMode": wanted.pid_mode, "IpcMode": wanted.ipc_mode}
    host["RestartPolicy"] = {"Name": str(wanted.restart.name), "MaximumRetryCount": wanted.restart.maximum_retries}
    if not wanted.privileged:
        host["MaskedPaths"] = list(MASKED if wanted.masked_paths is None else wanted.masked_paths)
        host["ReadonlyPaths"] = list(READ_ONLY if wanted.readonly_paths is None else wanted.readonly_paths)
    return host


def _graph_driver(snapshot: Path, lower: Sequence[Path]) -> dict[str, Any]:
    return {
        "Name": "overlay2",
        "Data": {
            "LowerDir": ":".join(map(str, lower)),
            "MergedDir": str(snapshot / "merged"),
            "UpperDir": str(snapshot / "upper"),
            "WorkDir": str(snapshot / "work"),
        },
    }


def _network_settings(container: Container) -> dict[str, Any]:
    sandbox = container.sandbox
    endpoints = sandbox.endpoints if sandbox else ()
    # For clients of long ago, who know one network; user-defined ones came later.
    main = next((endpoint for endpoint in endpoints if endpoint.network_name == "bridge"), None)
    flat = endpoint_settings(None, main)
    return {
        "Bridge": "",
        "SandboxID": sandbox.container_id if sandbox else "",
        "SandboxKey": str(sandbox.netns) if sandbox and sandbox.netns else "",
        "Ports": _port_map(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{
            name: flat[name]
            for name in (
                "EndpointID",
                "Gateway",
                "GlobalIPv6Address",
                "GlobalIPv6PrefixLen",
                "IPAddress",
                "IPPrefixLen",
                "IPv6Gateway",
                "MacAddress",
            )
        },
        "Networks": _networks(container),
    }


def _networks(container: Container) -> dict[str, Any]:
    endpoints = {each.network_name: each for each in (container.sandbox.endpoints if container.sandbox else ())}
    asked = {each.network: each for each in container.attachments}
    short = container.short_id if container.state.started_at is not None else ""
    return {
        name: endpoint_settings(asked.get(name), endpoints.get(name), short_id=short)
        for name in (*asked, *(name for name in endpoints if name not in asked))
    }


def _port_map(container: Container) -> dict[str, Any]:
    if container.sandbox is None or container.sandbox.netns is None:
        return {}
    ports: dict[str, Any] = dict.fromkeys(container.config.exposed_ports)
    for port in _ordered(container.sandbox.ports):
        spec = f"{port.container_port}/{port.protocol}"
        if ports.get(spec) is None:
            ports[spec] = []
        ports[spec].append({"HostIp": port.host_ip, "HostPort": str(port.host_port)})
    return ports


def _summary_ports(container: Container) -> list[dict[str, Any]]:
    if container.sandbox is None or container.sandbox.netns is None:
        return []
    published = {f"{port.container_port}/{port.protocol}" for port in container.sandbox.ports}
    rows = []
    for spec in container.config.exposed_ports:
        if spec not in published:
            number, _, protocol = spec.partition("/")
            rows.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
    return rows + [
        {
            "IP": port.host_ip,
            "PrivatePort": port.container_port,
            "PublicPort": port.host_port,
            "Type": port.protocol,
        }
        for port in _ordered(container.sandbox.ports)
    ]


def _ordered(ports: Sequence[PublishedPort]) -> list[PublishedPort]:
    """IPv4 before IPv6, as Docker lists them."""
    return sorted(ports, key=lambda port: (port.container_port, port.protocol, ":" in port.host_ip, port.host_ip))
