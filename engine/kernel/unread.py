"""What the other end of a unix socket has not read yet."""

from __future__ import annotations

import fcntl
import sys
import termios


def unread(descriptor: int) -> int:
    """Bytes of memory that wait in the other end's queue; 0 when it has read everything (unix(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
