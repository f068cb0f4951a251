"""From a request to a container: the image's defaults merged in, everything checked before anything is made."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.containers import capabilities, seccomp
from engine.containers.model import (
    Container,
    ContainerConfig,
    HostConfig,
    RestartPolicyName,
    State,
    Ulimit,
)
from engine.containers.signals import signal_number
from engine.errors import InvalidParameter
from engine.images.model import Image
from engine.types import now

_LIMITS: Final = {name[7:].lower(): number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}
_SAFE_SYSCTLS: Final = ("net.", "kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
LEAST_MEMORY: Final = 6 * 1024 * 1024


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
) -> Draft:
    """The container that a request asks for. `InvalidParameter` says what cannot be; nothing has been made yet.

    *held* are the capabilities that the engine has to give.
    """
    warnings: list[str] = []
    config = _merged(config, image, container_id, host)
    command = [*(config.entrypoint or ()), *(config.cmd or ())]
    if not command or not command[0]:
        raise InvalidParameter("no command specified: the image names none, so give one")
    if any("\0" in part for part in (*command, *config.env, config.working_dir, config.user)):
        raise InvalidParameter("a NUL in the command, environment, working directory or user")
    places = [place for bind in host.binds for place in (bind.source, bind.target)]
    if any("\0" in text for text in (*places, *host.tmpfs, *host.tmpfs.values(), config.hostname, config.domainname)):
        raise InvalidParameter("a NUL in a mount's path or options, or in the host's name")
    if config.stop_signal:
        signal_number(config.stop_signal)
    host = replace(
        host,
        binds=tuple(replace(bind, target=_normal(bind.target)) for bind in host.binds),
        tmpfs={_normal(place): options for place, options in host.tmpfs.items()},
    )
    _check_host(host, config)
    capabilities.effective(add=host.cap_add, drop=host.cap_drop, privileged=host.privileged, held=held)
    if host.seccomp not in ("", "unconfined"):
        seccomp.reduced(host.seccomp, ())
    host = replace(host, ulimits=_clamped(host.ulimits, warnings))
    if image.config.volumes:
        warnings.append(
            "the image declares volumes ("
            + ", ".join(image.config.volumes)
            + "): they are kept in the container's own layer until named volumes are supported"
        )
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
            log_path=log_path,
        ),
        warnings=tuple(warnings),
    )


def _merged(config: ContainerConfig, image: Image, container_id: str, host: HostConfig) -> ContainerConfig:
    """Docker's rule: an entrypoint of the request's own silences the image's command."""
    defaults = image.config
    cmd = config.cmd
    if config.entrypoint is None and not cmd:
        cmd = defaults.cmd
    entrypoint = defaults.entrypoint if config.entrypoint is None else config.entrypoint
    variables = {variable.partition("=")[0]: variable for variable in defaults.env}
    for variable in config.env:
        key, equals, _ = variable.partition("=")
        if not key:
            raise InvalidParameter(f"invalid environment variable: {variable[:100]}")
        if equals:
            variables[key] = variable
        else:
            variables.pop(key, None)
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
        hostname=config.hostname or _hostname(container_id, host),
    )


def _hostname(container_id: str, host: HostConfig) -> str:
    if host.network_mode == "host":
        with open("/proc/sys/kernel/hostname", encoding="utf-8") as file:  # noqa: PTH123 - a kernel's value, no file
            return file.read().strip()
    return container_id[:12]


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidParameter(f"the working directory '{path[:200]}' is invalid, it needs to be an absolute path")
    return path


def _normal(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def _check_host(host: HostConfig, config: ContainerConfig) -> None:
    if host.memory and host.memory < LEAST_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory_swap > 0 and not host.memory:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < host.memory_swap < host.memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.nano_cpus and (host.cpu_quota or host.cpu_period):
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set")
    if host.auto_remove and host.restart.name is not RestartPolicyName.NO:
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")
    targets = [*(bind.target for bind in host.binds), *host.tmpfs]
    for target in targets:
        if target == "/":
            raise InvalidParameter("invalid mount target '/': the destination can't be '/'")
        if targets.count(target) > 1:
            raise InvalidParameter(f"Duplicate mount point: {target}")
    for key in host.sysctls:
        if not host.privileged and not key.startswith(_SAFE_SYSCTLS):
            raise InvalidParameter(f"sysctl '{key[:80]}' is not whitelisted: it is not of a namespace of the container")
        if key.startswith("net.") and host.network_mode == "host":
            raise InvalidParameter(f"sysctl '{key[:80]}' not allowed in host network mode")
    if config.hostname and len(config.hostname) > 64:  # HOST_NAME_MAX, gethostname(2)
        raise InvalidParameter(f"invalid hostname format: {config.hostname[:80]}: at most 64 characters")


def _clamped(ulimits: Sequence[Ulimit], warnings: list[str]) -> tuple[Ulimit, ...]:
    """No limit above the host's own: without CAP_SYS_RESOURCE the runtime could not set it."""
    kept = []
    for limit in ulimits:
        if limit.name not in _LIMITS:
            raise InvalidParameter(f"invalid ulimit type: {limit.name[:60]}")
        if 0 <= limit.hard < limit.soft:
            raise InvalidParameter(f"ulimit soft limit must be less than or equal to hard limit: {limit.name}")
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
    }
