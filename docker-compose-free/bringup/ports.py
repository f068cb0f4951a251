"""Who listens on a TCP port, by the kernel's own tables (proc_pid_net(5), proc_pid_fd(5))."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from bringup.config import Config
from bringup.console import Failure

_LISTEN = "0A"


def check(config: Config) -> None:
    """`Failure` where the pages' port cannot be had, with who has it and what to do; at every address of the name."""
    where = f"{config.host}:{config.port}"
    try:
        addresses = _addresses(config.host, config.port)
    except (OSError, UnicodeError) as error:
        raise Failure(f"HAVRE_BIND={where}: no such address ({error}). Give one of this host's.") from None
    for family, address in addresses:
        try:
            _bind(family, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Failure(
                    f"cannot listen on {where}: {error.strerror}. Give another address in HAVRE_BIND, such as "
                    "127.0.0.1:8000 for this host alone, or 0.0.0.0:8000 for everybody who reaches it."
                ) from None
            raise Failure(
                f"cannot listen on {where}: {_holder(config.port)} listens there. Stop it, or choose another port: "
                f"HAVRE_BIND={config.host}:{_free(config)}"
            ) from None


def listens(pid: int, port: int) -> bool:
    """Whether the process *pid* itself listens on *port*, at whatever address."""
    sockets = _sockets(Path(f"/proc/{pid}/net"), port)
    try:
        return _has(pid, sockets)
    except PermissionError:
        return bool(sockets)  # without CAP_SYS_PTRACE nobody can tell whose they are
    except OSError:
        return False  # it has ended


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def _bind(family: socket.AddressFamily, address: tuple[object, ...]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)


def _free(config: Config) -> int:
    """The next port that nobody has."""
    for port in range(config.port + 1, min(config.port + 100, 65536)):
        try:
            for family, address in _addresses(config.host, port):
                _bind(family, address)
        except OSError:
            continue
        return port
    return 8000


def _holder(port: int) -> str:
    sockets = _sockets(Path("/proc/net"), port)
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and _has(int(entry.name), sockets):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {entry.name} ({command[:80]})"
        except OSError:
            continue  # it has ended, or is not ours to look at
    return "another program"


def _has(pid: int, sockets: set[str]) -> bool:
    """Whether one of the *sockets* is open in the process *pid*. Raises `OSError` where that cannot be seen."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(descriptor.readlink()) in sockets:
                return True
    return False


def _sockets(net: Path, port: int) -> set[str]:
    """Those that listen on *port* in the network namespace of *net*, as the links of descriptors name them."""
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):  # no IPv6, or the process has ended
            for line in (net / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
