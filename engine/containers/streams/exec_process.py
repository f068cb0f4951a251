"""The OCI process of an exec session, made from its container's (OCI runtime-spec, config.md, "Process")."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.containers.model import Container, ExecConfig
from engine.containers.runtime.monitor import Monitor
from engine.containers.spec import users
from engine.containers.spec.document import capability_sets
from engine.errors import InvalidParameter, NotRunning
from engine.kernel import paths


def exec_process(
    *,
    container: Container,
    monitor: Monitor,
    config: ExecConfig,
    held: Iterable[str],
    rows: int = 0,
    columns: int = 0,
) -> dict[str, Any]:
    """What `runc exec --process` is to run in *container* under *monitor*.

    User, directory, environment, limits and capabilities are the container's unless *config* says otherwise; *held* are
    the capabilities that a privileged session gets. Names of users are looked up in the container as it is now.
    `InvalidParameter` for an unknown user or an unusable directory, `NotRunning` when the container has just ended.
    """
    process: dict[str, Any] = json.loads((monitor.directory / "config.json").read_text(encoding="utf-8"))["process"]
    process.pop("consoleSize", None)
    process |= {"terminal": config.tty, "args": list(config.cmd)}
    process["cwd"] = config.working_dir or process["cwd"]
    changes = ["TERM=xterm"] if config.tty and "TERM" not in _names(container.config.env) else []
    if config.tty and rows > 0 and columns > 0:
        process["consoleSize"] = {"height": rows, "width": columns}
    if config.user or config.working_dir:
        root = _root_of(monitor)
        try:
            if config.user:
                identity = users.resolve(root, config.user, group_add=container.host.group_add)
                user = {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}
                process["user"] |= user
                if "HOME" not in _names(container.config.env):
                    changes.append(f"HOME={identity.home}")
            if config.working_dir:
                _check_directory(root, config.working_dir)
        finally:
            os.close(root)
    process["env"] = merged(process.get("env", ()), (*changes, *config.env))
    bounding = sorted(held) if config.privileged else process.get("capabilities", {}).get("bounding", ())
    process["capabilities"] = capability_sets(tuple(bounding), uid=process["user"]["uid"])
    if config.privileged:
        process["noNewPrivileges"] = False
    return process


def merged(environment: Iterable[str], changes: Iterable[str]) -> list[str]:
    """*environment* with *changes*: `NAME=value` sets, a bare `NAME` removes; the last word counts."""
    result = {entry.partition("=")[0]: entry for entry in environment}
    for change in changes:
        name, equals, _ = change.partition("=")
        if equals:
            result[name] = change
        else:
            result.pop(name, None)
    return list(result.values())


def _names(environment: Iterable[str]) -> set[str]:
    return {entry.partition("=")[0] for entry in environment}


def _root_of(monitor: Monitor) -> int:
    """A descriptor of the running container's root, as its own processes see it."""
    if not monitor.process.alive:
        raise NotRunning(f"Container {monitor.container_id} is not running")
    return os.open(Path("/proc", str(monitor.process.pid), "root"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _check_directory(root: int, path: str) -> None:
    """Refuse a working directory that leads through /proc/*/fd: that is how one leaves a container (CVE-2024-21626).

    One that is not there is left to the runtime, which has the words for it that clients know.
    """
    if not path.startswith("/"):
        raise InvalidParameter(f"cwd must be an absolute path, not {path[:100]!r}")
    try:
        os.close(paths.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise InvalidParameter(f"the working directory {path[:100]!r} does not lie in the container") from error
