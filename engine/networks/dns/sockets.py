"""A resolver's sockets inside a container's namespace, and the rule that leads port 53 to them.

The sockets have ports of their own, so that a container may run a name server itself: 0.0.0.0:53 stays free.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.kernel import netns
from engine.networks.dns.redirect import redirect
from engine.networks.files import EMBEDDED

_BACKLOG: Final = 64


@dataclass(frozen=True, slots=True)
class Listening:
    """What a resolver listens on."""

    datagrams: socket.socket
    stream: socket.socket

    def close(self) -> None:
        self.datagrams.close()
        self.stream.close()


def listen(namespace: Path) -> Listening:
    """Open both sockets in *namespace*, and lead there what goes to `127.0.0.11:53`, instead of where it went."""
    return netns.run_inside(namespace, _listen)


def _listen() -> Listening:
    with ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
        stream = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        for each in (datagrams, stream):
            each.bind((EMBEDDED, 0))
            each.setblocking(False)
        stream.listen(_BACKLOG)
        redirect(datagrams=datagrams.getsockname()[1], stream=stream.getsockname()[1])
        stack.pop_all()
        return Listening(datagrams, stream)
