"""From the endpoint's JSON to the values of `engine.client.model`.

Endpoints differ (dockerd of any year, Podman, Havre) and Go writes `null` for what is empty, so everything that may be
absent or null has a default here, and nowhere else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from engine.client.model import (
    Attachment,
    ContainerDetail,
    ContainerState,
    ContainerSummary,
    Death,
    Event,
    HealthResult,
    HistoryEntry,
    HostInfo,
    ImageDetail,
    ImageSummary,
    Mount,
    Port,
    PullEvent,
    RemovedImage,
    UsageSample,
    VersionInfo,
)
from engine.types import SECOND, parse_rfc3339

Json = Mapping[str, Any]

_UNTAGGED = "<none>"


def container_summary(row: Json) -> ContainerSummary:
    networks: Json = (row.get("NetworkSettings") or {}).get("Networks") or {}
    # A name with a second slash is a legacy link's, not the container's own.
    names = [name.removeprefix("/") for name in row.get("Names") or ()]
    own = [name for name in names if "/" not in name]
    return ContainerSummary(
        id=row["Id"],
        name=(own or names or [row["Id"][:12]])[0],
        image=row.get("Image", ""),
        image_id=row.get("ImageID", ""),
        command=row.get("Command") or "",
        created=_from_unix(row.get("Created") or 0),
        state=row.get("State", ""),
        status=row.get("Status", ""),
        ports=tuple(
            sorted(
                (
                    Port(
                        container_port=port["PrivatePort"],
                        protocol=port.get("Type", "tcp"),
                        host_ip=port.get("IP", ""),
                        host_port=port.get("PublicPort"),
                    )
                    for port in row.get("Ports") or ()
                ),
                key=_port_order,
            )
        ),
        labels=row.get("Labels") or {},
        mounts=_mounts(row.get("Mounts")),
        networks=_attachments(networks),
        size_rw=row.get("SizeRw"),
        size_root=row.get("SizeRootFs"),
    )


def container_detail(row: Json) -> ContainerDetail:
    config: Json = row.get("Config") or {}
    host: Json = row.get("HostConfig") or {}
    network: Json = row.get("NetworkSettings") or {}
    restart: Json = host.get("RestartPolicy") or {}
    return ContainerDetail(
        id=row["Id"],
        name=row.get("Name", "").removeprefix("/"),
        image=config.get("Image", ""),
        image_id=row.get("Image", ""),
        created=instant(row.get("Created")),
        state=_state(row.get("State") or {}),
        path=row.get("Path", ""),
        args=tuple(row.get("Args") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=tuple(config.get("Env") or ()),
        working_dir=config.get("WorkingDir", ""),
        user=config.get("User", ""),
        hostname=config.get("Hostname", ""),
        tty=bool(config.get("Tty")),
        open_stdin=bool(config.get("OpenStdin")),
        labels=config.get("Labels") or {},
        restart_policy=restart.get("Name") or "no",
        maximum_retries=restart.get("MaximumRetryCount") or 0,
        restart_count=row.get("RestartCount") or 0,
        auto_remove=bool(host.get("AutoRemove")),
        privileged=bool(host.get("Privileged")),
        network_mode=host.get("NetworkMode", ""),
        ports=_detail_ports(network.get("Ports") or {}, config.get("ExposedPorts") or {}),
        bindings=_detail_ports(host.get("PortBindings") or {}, {}),
        mounts=_mounts(row.get("Mounts")),
        networks=_attachments(network.get("Networks") or {}),
        memory=host.get("Memory") or 0,
        memory_swap=host.get("MemorySwap") or 0,
        nano_cpus=host.get("NanoCpus") or 0,
        cpu_shares=host.get("CpuShares") or 0,
        pids_limit=host.get("PidsLimit") or None,
        log_driver=(host.get("LogConfig") or {}).get("Type", ""),
        log_path=row.get("LogPath", ""),
        driver=row.get("Driver", ""),
        platform=row.get("Platform", ""),
        raw=row,
    )


def usage_sample(row: Json) -> UsageSample:
    """One answer of `stats`, counted as the docker CLI counts."""
    cpu, before = row.get("cpu_stats") or {}, row.get("precpu_stats") or {}
    used = _total(cpu) - _total(before)
    system = (cpu.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    known = bool(before.get("system_cpu_usage"))
    memory: Json = row.get("memory_stats") or {}
    details: Json = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    usage = memory.get("usage") or 0
    networks = list((row.get("networks") or {}).values())
    transfers = (row.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return UsageSample(
        at=instant(row.get("read")),
        cpu=used / system * (cpu.get("online_cpus") or 1) if known and system > 0 and used > 0 else 0.0,
        cpu_time=_total(cpu),
        memory=usage - cache if cache < usage else usage,
        memory_limit=memory.get("limit") or 0,
        received=sum(each.get("rx_bytes") or 0 for each in networks),
        sent=sum(each.get("tx_bytes") or 0 for each in networks),
        read=_transferred(transfers, "read"),
        written=_transferred(transfers, "write"),
        processes=(row.get("pids_stats") or {}).get("current") or 0,
    )


def _total(cpu: Json) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _transferred(rows: Iterable[Json], word: str) -> int:
    return sum(row.get("value") or 0 for row in rows if str(row.get("op", "")).lower() == word)


def death(row: Json) -> Death:
    """A row of Havre's own `/deaths`."""
    cpu_time = row.get("CPUTime")
    return Death(
        name=row.get("Name", ""),
        verdict=row.get("Verdict", ""),
        started_at=instant(row.get("StartedAt")),
        finished_at=instant(row.get("FinishedAt")),
        exit_code=row.get("ExitCode") or 0,
        signal=row.get("Signal", ""),
        asked=row.get("Asked", ""),
        oom_killed=bool(row.get("OOMKilled")),
        memory_peak=row.get("MemoryPeak"),
        memory_limit=row.get("MemoryLimit") or 0,
        cpu_seconds=None if cpu_time is None else cpu_time / 1e9,
        last_lines=tuple(
            (2 if line.get("Stream") == "stderr" else 1, line.get("Text", "")) for line in row.get("LastLines") or ()
        ),
    )


def image_summary(row: Json) -> ImageSummary:
    count = row.get("Containers", -1)
    return ImageSummary(
        id=row["Id"],
        tags=_names(row.get("RepoTags")),
        digests=_names(row.get("RepoDigests")),
        created=_from_unix(row.get("Created") or 0),
        size=row.get("Size") or 0,
        containers=count if isinstance(count, int) and count >= 0 else None,
        labels=row.get("Labels") or {},
        parent=row.get("ParentId", ""),
    )


def image_detail(row: Json) -> ImageDetail:
    config: Json = row.get("Config") or {}
    return ImageDetail(
        id=row["Id"],
        tags=_names(row.get("RepoTags")),
        digests=_names(row.get("RepoDigests")),
        created=instant(row.get("Created")),
        size=row.get("Size") or 0,
        architecture=row.get("Architecture", ""),
        os=row.get("Os", ""),
        author=row.get("Author", ""),
        comment=row.get("Comment", ""),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=tuple(config.get("Env") or ()),
        working_dir=config.get("WorkingDir", ""),
        user=config.get("User", ""),
        exposed_ports=tuple(config.get("ExposedPorts") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        labels=config.get("Labels") or {},
        layers=tuple((row.get("RootFS") or {}).get("Layers") or ()),
        raw=row,
    )


def history_entry(row: Json) -> HistoryEntry:
    created = row.get("Created") or 0
    return HistoryEntry(
        id=row.get("Id", ""),
        created=_from_unix(created) if created > 0 else None,
        created_by=row.get("CreatedBy", ""),
        size=row.get("Size") or 0,
        comment=row.get("Comment", ""),
        tags=_names(row.get("Tags")),
    )


def removed_image(row: Json) -> RemovedImage:
    return RemovedImage(untagged=row.get("Untagged", ""), deleted=row.get("Deleted", ""))


def host_info(row: Json) -> HostInfo:
    return HostInfo(
        id=row.get("ID", ""),
        name=row.get("Name", ""),
        operating_system=row.get("OperatingSystem", ""),
        kernel=row.get("KernelVersion", ""),
        architecture=row.get("Architecture", ""),
        cpus=row.get("NCPU") or 0,
        memory=row.get("MemTotal") or 0,
        containers=row.get("Containers") or 0,
        running=row.get("ContainersRunning") or 0,
        paused=row.get("ContainersPaused") or 0,
        stopped=row.get("ContainersStopped") or 0,
        images=row.get("Images") or 0,
        server_version=row.get("ServerVersion", ""),
        storage_driver=row.get("Driver", ""),
        root_dir=row.get("DockerRootDir", ""),
        cgroup_version=str(row.get("CgroupVersion", "")),
        runtime=row.get("DefaultRuntime", ""),
        warnings=tuple(row.get("Warnings") or ()),
        raw=row,
    )


def version_info(row: Json) -> VersionInfo:
    return VersionInfo(
        version=row.get("Version", ""),
        api_version=row.get("ApiVersion", ""),
        minimum_api_version=row.get("MinAPIVersion", ""),
        os=row.get("Os", ""),
        architecture=row.get("Arch", ""),
        kernel=row.get("KernelVersion", ""),
        platform=(row.get("Platform") or {}).get("Name", ""),
        components={part["Name"]: part.get("Version", "") for part in row.get("Components") or ()},
    )


def event(row: Json) -> Event:
    actor: Json = row.get("Actor") or {}
    nanoseconds = row.get("timeNano") or (row.get("time") or 0) * SECOND
    return Event(
        kind=row.get("Type", ""),
        action=row.get("Action") or row.get("status", ""),
        actor=actor.get("ID") or row.get("id", ""),
        attributes=actor.get("Attributes") or {},
        time=_from_unix(nanoseconds / SECOND),
        time_ns=nanoseconds,
    )


def pull_event(row: Json) -> PullEvent:
    """A line that is no error; one that has an `id` but no progress may name the tag, not a layer."""
    progress: Json = row.get("progressDetail") or {}
    status = row.get("status", "") or row.get("stream", "").strip()
    return PullEvent(
        status=status,
        layer="" if status.startswith("Pulling from") else row.get("id", ""),
        current=progress.get("current") or 0,
        total=progress.get("total") or 0,
        digest=(row.get("aux") or {}).get("Digest", ""),
    )


def instant(text: str | None) -> dt.datetime | None:
    """An RFC 3339 time of the endpoint; `None` for Go's zero time."""
    nanoseconds = parse_rfc3339(text or "")
    return None if nanoseconds is None else _from_unix(nanoseconds / SECOND)


def _state(row: Json) -> ContainerState:
    health: Json = row.get("Health") or {}
    return ContainerState(
        status=row.get("Status", ""),
        running=bool(row.get("Running")),
        paused=bool(row.get("Paused")),
        restarting=bool(row.get("Restarting")),
        oom_killed=bool(row.get("OOMKilled")),
        dead=bool(row.get("Dead")),
        pid=row.get("Pid") or 0,
        exit_code=row.get("ExitCode") or 0,
        error=row.get("Error") or "",
        started_at=instant(row.get("StartedAt")),
        finished_at=instant(row.get("FinishedAt")),
        health=health.get("Status", ""),
        health_streak=health.get("FailingStreak") or 0,
        health_log=tuple(
            HealthResult(
                at=instant(entry.get("End")), exit_code=entry.get("ExitCode") or 0, output=entry.get("Output") or ""
            )
            for entry in health.get("Log") or ()
        ),
    )


def _mounts(rows: Iterable[Json] | None) -> tuple[Mount, ...]:
    return tuple(
        Mount(
            kind=row.get("Type", ""),
            source=row.get("Source", ""),
            target=row.get("Destination", ""),
            name=row.get("Name", ""),
            read_only=not row.get("RW", True),
        )
        for row in rows or ()
    )


def _attachments(networks: Json) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(
            network=name,
            network_id=row.get("NetworkID", ""),
            endpoint_id=row.get("EndpointID", ""),
            address=row.get("IPAddress", ""),
            prefix_length=row.get("IPPrefixLen") or 0,
            gateway=row.get("Gateway", ""),
            ipv6_address=row.get("GlobalIPv6Address", ""),
            mac=row.get("MacAddress", ""),
            aliases=tuple(row.get("Aliases") or ()),
        )
        for name, row in networks.items()
        if row is not None
    )


def _detail_ports(published: Json, exposed: Json) -> tuple[Port, ...]:
    ports: list[Port] = []
    for spec in {**exposed, **published}:
        number, _, protocol = spec.partition("/")
        base = Port(container_port=int(number), protocol=protocol or "tcp")
        ports.extend(
            Port(
                container_port=base.container_port,
                protocol=base.protocol,
                host_ip=row.get("HostIp", ""),
                host_port=int(row["HostPort"]) if row.get("HostPort") else None,
            )
            for row in published.get(spec) or ()
        )
        if not published.get(spec):
            ports.append(base)
    return tuple(sorted(ports, key=_port_order))


def _port_order(port: Port) -> tuple[int, str, str, int]:
    return port.container_port, port.protocol, port.host_ip, port.host_port or 0


def _names(values: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(value for value in values or () if _UNTAGGED not in value)


def _from_unix(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
