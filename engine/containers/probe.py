"""One look at a container's health: a command run in it, with its first output and a limit of time."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from typing import Final

from engine.containers.model import Container, ExecConfig, HealthResult
from engine.containers.streams.attach import PACKET
from engine.containers.streams.exec import ExecSessions
from engine.errors import EngineError
from engine.types import SECOND, duration_text, now

_OUTPUT: Final = 4096
"""Bytes of output that are kept, as in Docker."""
_GLANCE: Final = 0.25
"""Seconds between two looks at whether the daemon is about to end."""
_SHELL: Final = ("/bin/sh", "-c")


def probe(execs: ExecSessions, container: Container, timeout: float, closing: threading.Event) -> HealthResult | None:
    """Run the container's check for at most *timeout* seconds; `None` when *closing* is set meanwhile.

    Never raises: what goes wrong is a result, too.
    """
    start = now()
    try:
        exec_id = execs.create(container=container, config=ExecConfig(cmd=_command(container), attach_stdout=True))
        attachment = execs.start(exec_id, container=container)
    except EngineError as error:
        return HealthResult(start=start, end=now(), exit_code=-1, output=str(error)[:_OUTPUT])
    assert attachment is not None  # noqa: S101 - only detached sessions have none
    try:
        connection = attachment.connection
        deadline = time.monotonic() + timeout
        output, ended = (b"", True) if connection is None else _output(connection, deadline, closing)
        if closing.is_set():
            return None
        if not ended:
            execs.signal(exec_id, signal.SIGKILL)
            said = [f"Health check exceeded timeout ({duration_text(round(timeout * SECOND))})"]
            said += [output.decode(errors="replace")] if output else []
            return HealthResult(
                start=start,
                end=now(),
                exit_code=-1,
                output=": ".join(said)[:_OUTPUT],
            )
        code = attachment.exited.result(timeout=timeout) if attachment.exited is not None else None
    except TimeoutError:
        return HealthResult(start=start, end=now(), exit_code=-1, output="the end of the check was not heard of")
    finally:
        attachment.close()
    return HealthResult(
        start=start, end=now(), exit_code=-1 if code is None else code, output=output.decode(errors="replace")
    )


def _command(container: Container) -> tuple[str, ...]:
    kind, *rest = container.config.health.test
    return (*(container.config.shell or _SHELL), *rest) if kind == "CMD-SHELL" else tuple(rest)


def _output(connection: socket.socket, deadline: float, closing: threading.Event) -> tuple[bytes, bool]:
    """The first bytes that come from *connection* until its end, or until *deadline*; and whether the end came."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    output = b""
    while (left := deadline - time.monotonic()) > 0 and not closing.is_set():
        if not poll.poll(min(left, _GLANCE) * 1000):
            continue
        try:
            packet = connection.recv(PACKET)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            packet = b""
        if not packet:
            return output, True
        output = (output + packet[1:])[:_OUTPUT]
    return output, False
