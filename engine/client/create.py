"""What to create, and the body that asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.client.model import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A host path, absolute, mounted in the container at `target`; or a volume's name as `source`."""

    source: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + (":ro" if self.read_only else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer:
    """A container to be. What is left out is the image's or the engine's default.

    A port with `host_port` `None` is exposed only; 0 takes a free port of the host.
    """

    image: str
    name: str = ""
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    """`NAME=value`."""
    ports: tuple[Port, ...] = ()
    binds: tuple[BindMount, ...] = ()
    network: str = ""
    restart_policy: str = "no"
    maximum_retries: int = 0
    tty: bool = False
    open_stdin: bool = False
    auto_remove: bool = False
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    memory: int = 0
    nano_cpus: int = 0
    pids_limit: int | None = None
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    no_new_privileges: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """The body of `POST /containers/create`."""
        config: dict[str, Any] = {
            "Image": self.image,
            "Env": list(self.env),
            "Tty": self.tty,
            "OpenStdin": self.open_stdin,
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "WorkingDir": self.working_dir,
            "User": self.user,
            "Hostname": self.hostname,
            "Labels": dict(self.labels),
            "ExposedPorts": {f"{port.container_port}/{port.protocol}": {} for port in self.ports},
            "HostConfig": self._host_config(),
        }
        if self.cmd is not None:
            config["Cmd"] = list(self.cmd)
        if self.entrypoint is not None:
            config["Entrypoint"] = list(self.entrypoint)
        return config

    def _host_config(self) -> dict[str, Any]:
        bindings: dict[str, list[dict[str, str]]] = {}
        for port in self.ports:
            if port.host_port is not None:
                bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(
                    {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}
                )
        host: dict[str, Any] = {
            "Binds": [str(bind) for bind in self.binds],
            "PortBindings": bindings,
            "NetworkMode": self.network or "default",
            "RestartPolicy": {"Name": self.restart_policy, "MaximumRetryCount": self.maximum_retries},
            "AutoRemove": self.auto_remove,
            "Privileged": self.privileged,
            "ReadonlyRootfs": self.read_only,
            "CapAdd": list(self.cap_add),
            "CapDrop": list(self.cap_drop),
            "Memory": self.memory,
            "NanoCpus": self.nano_cpus,
        }
        if self.init:
            host["Init"] = True
        if self.no_new_privileges:
            host["SecurityOpt"] = ["no-new-privileges"]
        if self.pids_limit is not None:
            host["PidsLimit"] = self.pids_limit
        return host
