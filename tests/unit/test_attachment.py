"""An attachment between its client and a monitor's socket."""

from __future__ import annotations

import socket

from engine.containers.streams.attach import Attachment


async def test_what_was_said_before_a_reset_is_heard() -> None:
    """The kernel tells of the reset first: a program that reads no input has spoken all the same."""
    ours, monitors = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    attachment = Attachment(tty=False, stdin=True)
    attachment.connect(ours)
    assert await attachment.send(b"nobody reads this")
    for word in (b"one", b"two"):
        monitors.send(b"\2" + word)
    monitors.close()
    assert [frame async for frames in attachment.frames() for frame in frames] == [(1, b"one"), (1, b"two")]
    attachment.close()
