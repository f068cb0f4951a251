"""The docker command for what a page does: the dashboard teaches the shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webui.containers.forms.fields import duration_text, size_text

Json = Mapping[str, Any]

_TEXTS: Final = {
    "hostname": "Hostname",
    "domainname": "Domainname",
    "user": "User",
    "workdir": "WorkingDir",
    "stop-signal": "StopSignal",
    "stop-timeout": "StopTimeout",
}
_HOST_TEXTS: Final = {
    "cpu-shares": "CpuShares",
    "cpuset-cpus": "CpusetCpus",
    "pids-limit": "PidsLimit",
    "pid": "PidMode",
    "uts": "UTSMode",
    "userns": "UsernsMode",
    "cgroup-parent": "CgroupParent",
    "volume-driver": "VolumeDriver",
    "oom-score-adj": "OomScoreAdj",
}
_SIZES: Final = {
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "shm-size": "ShmSize",
}
_LISTS: Final = {
    "group-add": "GroupAdd",
    "add-host": "ExtraHosts",
    "dns": "Dns",
    "dns-search": "DnsSearch",
    "dns-option": "DnsOptions",
    "volumes-from": "VolumesFrom",
    "cap-add": "CapAdd",
    "cap-drop": "CapDrop",
    "security-opt": "SecurityOpt",
    "device-cgroup-rule": "DeviceCgroupRules",
}
_FLAGS: Final = {
    "privileged": "Privileged",
    "read-only": "ReadonlyRootfs",
    "init": "Init",
    "publish-all": "PublishAllPorts",
    "oom-kill-disable": "OomKillDisable",
}
_CHECKS: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
}


def run_command(body: Json, *, name: str = "", values: bool = False) -> str:
    """The `docker run` that does what a create *body* asks for, one option a line.

    Without *values* those of variables are left out: docker takes them from the shell's own environment.
    """
    host: Json = body.get("HostConfig") or {}
    first = "docker run -d" + (" -t" if body.get("Tty") else "") + (" -i" if body.get("OpenStdin") else "")
    parts = [first]
    if name:
        parts.append(_option("name", name))
    parts += [*_life(host), *_network(body, host), *_storage(host)]
    for variable in body.get("Env") or ():
        parts.append("-e " + shlex.quote(variable if values else variable.partition("=")[0]))
    parts += [_option(word, body[key]) for word, key in _TEXTS.items() if body.get(key)]
    parts += [*_limits(host), *_rights(host), *_health(body.get("Healthcheck") or {})]
    parts += [_option("label", f"{key}={value}") for key, value in (body.get("Labels") or {}).items()]
    entrypoint = body.get("Entrypoint") or ()
    rest: list[str] = []
    if entrypoint:
        # The option takes a program; its arguments come before the command's.
        parts.append(_option("entrypoint", entrypoint[0]))
        rest = list(entrypoint[1:])
    parts.append(shlex.join([body.get("Image", ""), *rest, *(body.get("Cmd") or ())]))
    return " \\\n  ".join(parts)


def _life(host: Json) -> Iterator[str]:
    if host.get("AutoRemove"):
        yield "--rm"
    restart: Json = host.get("RestartPolicy") or {}
    if restart.get("Name") not in (None, "", "no"):
        retries = f":{restart['MaximumRetryCount']}" if restart.get("MaximumRetryCount") else ""
        yield f"--restart {restart['Name']}{retries}"
    log: Json = host.get("LogConfig") or {}
    if log.get("Type"):
        yield _option("log-driver", log["Type"])
    for key, value in (log.get("Config") or {}).items():
        yield _option("log-opt", f"{key}={value}")


def _network(body: Json, host: Json) -> Iterator[str]:
    if host.get("NetworkMode") not in (None, "", "default", "bridge"):
        yield _option("network", host["NetworkMode"])
    others = ((body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}).keys() - {host.get("NetworkMode")}
    yield from (_option("network", name) for name in sorted(others))
    bindings: Json = host.get("PortBindings") or {}
    seen = set()
    for port, rows in bindings.items():
        for row in rows or ():
            address, number = row.get("HostIp") or "", row.get("HostPort") or ""
            address = "" if address in ("0.0.0.0", "::") else address
            container = port.removesuffix("/tcp")
            place = f"[{address}]" if ":" in address else address
            text = ":".join((place, number, container)) if place else f"{number}:{container}" if number else container
            # IPv4 and IPv6 of one port are one option.
            if text not in seen:
                seen.add(text)
                yield f"-p {shlex.quote(text)}"
    for port in body.get("ExposedPorts") or {}:
        if port not in bindings:
            yield _option("expose", port)


def _storage(host: Json) -> Iterator[str]:
    for bind in host.get("Binds") or ():
        yield f"-v {shlex.quote(bind)}"
    for mount in host.get("Mounts") or ():
        words = {"type": mount.get("Type"), "source": mount.get("Source"), "target": mount.get("Target")}
        text = ",".join(f"{key}={value}" for key, value in words.items() if value)
        yield _option("mount", text + (",readonly" if mount.get("ReadOnly") else ""))
    for place, options in (host.get("Tmpfs") or {}).items():
        yield _option("tmpfs", f"{place}:{options}" if options else place)


def _limits(host: Json) -> Iterator[str]:
    for word, key in _SIZES.items():
        if host.get(key):
            yield _option(word, size_text(host[key]))
    swap = host.get("MemorySwap") or 0
    if swap and swap != 2 * (host.get("Memory") or 0):
        yield _option("memory-swap", str(swap) if swap < 0 else size_text(swap))
    if host.get("NanoCpus"):
        yield f"--cpus {host['NanoCpus'] / 1_000_000_000:g}"
    for limit in host.get("Ulimits") or ():
        yield _option("ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}")


def _rights(host: Json) -> Iterator[str]:
    yield from (f"--{word}" for word, key in _FLAGS.items() if host.get(key))
    yield from (_option(word, host[key]) for word, key in _HOST_TEXTS.items() if host.get(key))
    if host.get("IpcMode") not in (None, "", "private"):
        yield _option("ipc", host["IpcMode"])
    for word, key in _LISTS.items():
        yield from (_option(word, value) for value in host.get(key) or ())
    for device in host.get("Devices") or ():
        yield _option(
            "device", ":".join((device["PathOnHost"], device["PathInContainer"], device["CgroupPermissions"]))
        )
    for key, value in (host.get("Sysctls") or {}).items():
        yield _option("sysctl", f"{key}={value}")


def _health(check: Json) -> Iterator[str]:
    test = check.get("Test") or ()
    if test and test[0] == "NONE":
        yield "--no-healthcheck"
    elif test:
        # The option knows only commands of a shell.
        yield _option("health-cmd", test[1] if test[0] == "CMD-SHELL" else shlex.join(test[1:]))
    for word, key in _CHECKS.items():
        if check.get(key):
            yield _option(f"health-{word}", duration_text(check[key]))
    if check.get("Retries"):
        yield f"--health-retries {check['Retries']}"


def _option(word: str, value: object) -> str:
    return f"--{word} {shlex.quote(str(value))}"
