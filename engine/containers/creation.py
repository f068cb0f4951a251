"""From a request to a container: the image's defaults merged in, everything checked before anything is made."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.containers import apparmor, links
from engine.containers.joining import identified, partner
from engine.containers.limits import check_limits, supported
from engine.containers.model import Container, State
from engine.containers.mounting import settled
from engine.containers.options import ContainerConfig, HostConfig, RestartPolicyName, Ulimit
from engine.containers.places import normal
from engine.containers.signals import signal_number
from engine.containers.spec import capabilities, seccomp
from engine.errors import InvalidParameter, of_field
from engine.images.model import HealthCheck, Image
from engine.networks.model import Attachment
from engine.types import now

_LIMITS: Final = {name[7:].lower(): number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}
_LARGEST_FILTER: Final = 4096 * 8
"""Bytes: BPF_MAXINSNS instructions of eight (linux/filter.h)."""
_SHORTEST: Final = 1_000_000
"""Nanoseconds of a health check's times."""
_SAFE_SYSCTLS: Final = ("net.", "kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A container that could be made, and what its maker should know."""

    container: Container
    warnings: tuple[str, ...]


def draft(
    *,
    container_id: str,
    name: str,
    image: Image,
    config: ContainerConfig,
    host: HostConfig,
    raw_config: Mapping[str, Any],
    raw_host_config: Mapping[str, Any],
    held: frozenset[str],
    log_path: str,
    find: Callable[[str], Container],
    attachments: tuple[Attachment, ...] = (),
) -> Draft:
    """The container that a request asks for. `InvalidParameter` says what cannot be; nothing has been made yet.

    *held* are the capabilities that the engine has to give; *find* knows the other containers.
    """
    warnings: list[str] = []
    _check_sharing(host, config)
    host = links.identified(identified(host, find=find), find=find)
    config = _merged(config, image, container_id, host, find)
    command = [*(config.entrypoint or ()), *(config.cmd or ())]
    if not command or not command[0]:
        raise InvalidParameter("Cmd, Entrypoint: no command specified: the image names none, so give one")
    if any("\0" in part for part in (*command, *config.env, config.working_dir, config.user)):
        raise InvalidParameter("a NUL in the command, environment, working directory or user")
    places = [place for mount in host.mounts for place in (mount.source, mount.target, mount.subpath)]
    places += [*host.tmpfs, *host.tmpfs.values(), *config.volumes, config.hostname, config.domainname]
    if any("\0" in text for text in places):
        raise InvalidParameter("a NUL in a mount's path or options, or in the host's name")
    if config.stop_signal:
        with of_field("StopSignal"):
            signal_number(config.stop_signal)
    host = replace(host, tmpfs={normal(place): options for place, options in host.tmpfs.items()})
    _check_host(host, config)
    check_limits(host)
    host, unsupported = supported(settled(config, host, find=find))
    warnings += unsupported
    if host.network_mode in ("host", "none") and host.ports:
        warnings.append(f"Published ports are discarded when using {host.network_mode} network mode")
    capabilities.effective(add=host.cap_add, drop=host.cap_drop, privileged=host.privileged, held=held)
    if host.seccomp not in ("", "unconfined"):
        with of_field("SecurityOpt"):
            seccomp.reduced(host.seccomp, ())
    with of_field("SecurityOpt"):
        apparmor.check(host.apparmor)
    filtered = not host.privileged and host.seccomp != "unconfined"
    host = replace(host, ulimits=_clamped(host.ulimits, warnings, filtered=filtered))
    return Draft(
        container=Container(
            id=container_id,
            name=name,
            image=image.id,
            created=now(),
            config=config,
            host=host,
            state=State(),
            path=command[0],
            args=tuple(command[1:]),
            raw_config=_echo(raw_config, config),
            raw_host_config=dict(raw_host_config),
            attachments=attachments,
            log_path=log_path,
        ),
        warnings=tuple(warnings),
    )


def _merged(
    config: ContainerConfig, image: Image, container_id: str, host: HostConfig, find: Callable[[str], Container]
) -> ContainerConfig:
    """Docker's rule: an entrypoint of the request's own silences the image's command."""
    defaults = image.config
    cmd = config.cmd
    if config.entrypoint is None and not cmd:
        cmd = defaults.cmd
    entrypoint = defaults.entrypoint if config.entrypoint is None else config.entrypoint
    variables: dict[str, str] = {}
    for variable in config.env:
        key = variable.partition("=")[0]
        if not key:
            raise InvalidParameter(f"Env: invalid environment variable: {variable[:100]}")
        # Without a value it stays, to take the image's away when the process starts.
        variables[key] = variable
    for variable in defaults.env:
        variables.setdefault(variable.partition("=")[0], variable)
    return replace(
        config,
        cmd=cmd,
        entrypoint=entrypoint,
        env=tuple(variables.values()),
        working_dir=_working_dir(config.working_dir or defaults.working_dir),
        user=config.user or defaults.user,
        labels={**defaults.labels, **config.labels},
        exposed_ports=tuple(dict.fromkeys((*defaults.exposed_ports, *config.exposed_ports))),
        stop_signal=config.stop_signal or defaults.stop_signal,
        hostname=config.hostname or _hostname(container_id, host, find),
        volumes=tuple(dict.fromkeys((*config.volumes, *defaults.volumes))),
        health=_health(config.health, defaults.health),
        shell=config.shell or defaults.shell,
    )


def _hostname(container_id: str, host: HostConfig, find: Callable[[str], Container]) -> str:
    if (other := partner(host.network_mode)) is not None:
        return find(other).config.hostname
    if host.network_mode == "host" or host.uts_mode == "host":
        return os.uname().nodename
    return container_id[:12]


def _health(asked: HealthCheck, inherited: HealthCheck) -> HealthCheck:
    """Docker's rule: what the request leaves open, the image decides."""
    check = HealthCheck(
        test=asked.test or inherited.test,
        interval=asked.interval or inherited.interval,
        timeout=asked.timeout or inherited.timeout,
        start_period=asked.start_period or inherited.start_period,
        start_interval=asked.start_interval or inherited.start_interval,
        retries=asked.retries or inherited.retries,
    )
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if 0 < getattr(check, name) < _SHORTEST or getattr(check, name) < 0:
            raise InvalidParameter(f"Healthcheck.{_words(name)}: {_words(name)} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidParameter("Healthcheck.Retries: Retries in Healthcheck cannot be negative")
    if check.wanted and (check.test[0] not in ("CMD", "CMD-SHELL") or len(check.test) < 2):
        raise InvalidParameter(
            f"Healthcheck.Test: begins with {check.test[0][:40]!r}: it must be NONE, or CMD or CMD-SHELL and a command"
        )
    return check


def _words(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidParameter(
            f"WorkingDir: the working directory '{path[:200]}' is invalid, it needs to be an absolute path"
        )
    return path


def _check_host(host: HostConfig, config: ContainerConfig) -> None:
    if host.auto_remove and host.restart.name is not RestartPolicyName.NO:
        raise InvalidParameter("AutoRemove: can't create 'AutoRemove' container with restart policy (RestartPolicy)")
    if "/" in host.tmpfs:
        raise InvalidParameter("Tmpfs: invalid specification: destination can't be '/'")
    for key in host.sysctls:
        if not host.privileged and not key.startswith(_SAFE_SYSCTLS):
            raise InvalidParameter(
                f"Sysctls: sysctl '{key[:80]}' is not whitelisted: it is not of a namespace of the container"
            )
        if key.startswith("net.") and host.network_mode == "host":
            raise InvalidParameter(f"Sysctls: sysctl '{key[:80]}' not allowed in host network mode")
    if config.hostname and len(config.hostname) > 64:  # HOST_NAME_MAX, gethostname(2)
        raise InvalidParameter(f"Hostname: invalid hostname format: {config.hostname[:80]}: at most 64 characters")


def _check_sharing(host: HostConfig, config: ContainerConfig) -> None:
    """Docker's rules for those who share namespaces with the host or with each other."""
    if host.uts_mode == "host" and (config.hostname or config.domainname):
        raise InvalidParameter("UTSMode: conflicting options: hostname and the UTS mode (Hostname, Domainname)")
    if host.network_mode.startswith("container:"):
        if config.hostname:
            raise InvalidParameter("Hostname: conflicting options: hostname and the network mode (NetworkMode)")
        if host.ports or host.publish_all:
            raise InvalidParameter(
                "PortBindings: conflicting options: port publishing and the container type network mode (NetworkMode)"
            )
        if host.dns:
            raise InvalidParameter("Dns: conflicting options: dns and the network mode (NetworkMode)")
        if host.extra_hosts:
            raise InvalidParameter(
                "ExtraHosts: conflicting options: custom host-to-IP mapping and the network mode (NetworkMode)"
            )
        if config.mac_address:
            raise InvalidParameter("MacAddress: conflicting options: mac-address and the network mode (NetworkMode)")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(
            f"OomScoreAdj: Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )


def _clamped(ulimits: Sequence[Ulimit], warnings: list[str], *, filtered: bool) -> tuple[Ulimit, ...]:
    """No limit above the host's own: without CAP_SYS_RESOURCE the runtime could not set it.

    *filtered* is whether the container has a seccomp filter.
    """
    kept = []
    for limit in ulimits:
        if limit.name not in _LIMITS:
            raise InvalidParameter(f"Ulimits.Name: invalid ulimit type: {limit.name[:60]}")
        if min(limit.soft, limit.hard) < -1:
            raise InvalidParameter(f"Ulimits: {limit.name}: -1 is no limit, less makes no sense")
        if 0 <= limit.hard < limit.soft:
            raise InvalidParameter(
                f"Ulimits: ulimit soft limit must be less than or equal to hard limit (Soft, Hard): {limit.name}"
            )
        if filtered and limit.name == "fsize" and 0 <= limit.soft < _LARGEST_FILTER:
            raise InvalidParameter(
                f"Ulimits: fsize: at least {_LARGEST_FILTER} bytes, got {limit.soft}: the OCI runtime writes the "
                "container's seccomp filter under this limit"
            )
        _, most = resource.getrlimit(_LIMITS[limit.name])
        wanted = [resource.RLIM_INFINITY if value < 0 else value for value in (limit.soft, limit.hard)]
        if most != resource.RLIM_INFINITY and any(value == resource.RLIM_INFINITY or value > most for value in wanted):
            warnings.append(f"ulimit {limit.name} lowered to {most}, the most that this host's engine may give")
            wanted = [most if value == resource.RLIM_INFINITY else min(value, most) for value in wanted]
        soft, hard = (0xFFFFFFFFFFFFFFFF if value == resource.RLIM_INFINITY else value for value in wanted)
        kept.append(Ulimit(name=limit.name, soft=soft, hard=hard))
    return tuple(kept)


def _echo(raw: Mapping[str, Any], config: ContainerConfig) -> dict[str, Any]:
    """The request's body as inspect gives it back, with what was merged in."""
    return {
        **raw,
        "Image": config.image,
        "Hostname": config.hostname,
        "User": config.user,
        "Env": list(config.env),
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        **({"ExposedPorts": {port: {} for port in config.exposed_ports}} if config.exposed_ports else {}),
        **({"StopSignal": config.stop_signal} if config.stop_signal else {}),
        "Volumes": {place: {} for place in config.volumes} or None,
        **({"Healthcheck": _health_document(config.health)} if config.health.test else {}),
    }


def _health_document(check: HealthCheck) -> dict[str, Any]:
    values = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {name: value for name, value in values.items() if value}
