"""The docker command for what a page does: the dashboard teaches the shell."""

from __future__ import annotations

import shlex

from webui import gateway


def run_command(container: gateway.ContainerDetail) -> str:
    """The `docker run` that would make such a container, one option a line. Values of variables are left out."""
    parts = ["docker run -d" + (" -t" if container.tty else "") + (" -i" if container.open_stdin else "")]
    parts.append(f"--name {shlex.quote(container.name)}")
    if container.auto_remove:
        parts.append("--rm")
    if container.network_mode not in ("default", "bridge", ""):
        parts.append(f"--network {shlex.quote(container.network_mode)}")
    if container.restart_policy != "no":
        retries = f":{container.maximum_retries}" if container.maximum_retries else ""
        parts.append(f"--restart {container.restart_policy}{retries}")
    seen = set()
    for port in container.ports:
        # IPv4 and IPv6 of one port are one option.
        key = (port.host_port, port.container_port, port.protocol)
        if port.host_port and key not in seen:
            seen.add(key)
            address = f"{port.host_ip}:" if port.host_ip not in ("", "0.0.0.0", "::") else ""
            suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
            parts.append(f"-p {address}{port.host_port}:{port.container_port}{suffix}")
    for mount in container.mounts:
        source = mount.name or mount.source
        parts.append("-v " + shlex.quote(f"{source}:{mount.target}" + (":ro" if mount.read_only else "")))
    parts.extend(f"-e {shlex.quote(variable.partition('=')[0])}" for variable in container.env)
    if container.memory:
        parts.append(f"--memory {container.memory}")
    parts.append(" ".join(shlex.quote(word) for word in (container.image, *container.cmd)))
    return " \\\n  ".join(parts)
