"""Messages of netlink to netfilter (netlink(7), linux/netfilter/nfnetlink.h), for what no library does well.

libnftables waits with select(2), which ends the process where a descriptor's number is 1024 or more: only the one
context that is made at the start (`nftables.py`) may use it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from pyroute2.netlink import NETLINK_NETFILTER, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR

_HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_FAMILY: Final = struct.Struct("!BBH")
"""nfgenmsg: family, version, resource."""
_ERROR: Final = struct.Struct("=i")
_ATTRIBUTE: Final = struct.Struct("=HH")
"""nlattr: length, type."""
_NESTED: Final = 1 << 15
_TYPE: Final = (1 << 14) - 1
"""NLA_TYPE_MASK: the type without its flags."""
_PATIENCE: Final = 10


def attribute(kind: int, value: bytes) -> bytes:
    """nlattr: length, type, value, padded to four bytes."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def message(kind: int, body: bytes = b"", *, family: int, flags: int = 0, resource: int = 0) -> bytes:
    """A message of netfilter; `NLM_F_ACK` among *flags* asks for an answer."""
    whole = _FAMILY.pack(family, 0, resource) + body
    return _HEADER.pack(_HEADER.size + len(whole), kind, NLM_F_REQUEST | flags, 1, 0) + whole


def talk(*messages: bytes) -> None:
    """Send *messages* at once, in this thread's namespace, and wait for the answers; `OSError` of the first refusal."""
    awaited = sum(1 for each in messages if _HEADER.unpack_from(each)[2] & NLM_F_ACK)
    with connected() as kernel:
        kernel.send(b"".join(messages))
        while awaited > 0:
            for kind, payload in split(kernel.recv(65536)):
                if kind != NLMSG_ERROR:
                    raise OSError(errno.EPROTO, f"netfilter answers with a message of type {kind}")
                code = -_ERROR.unpack_from(payload)[0]
                if code:
                    raise OSError(code, f"netfilter refuses: {os.strerror(code)}")
                awaited -= 1


def connected() -> socket.socket:
    """A socket to the kernel's netfilter, in this thread's namespace."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    kernel.settimeout(_PATIENCE)
    kernel.bind((0, 0))
    return kernel


def split(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages that the kernel sent at once: the type of each, and what follows its nlmsghdr."""
    while answer:
        length, kind, _, _, _ = _HEADER.unpack_from(answer)
        yield kind, answer[_HEADER.size : length]
        answer = answer[_aligned(length) :]


def attributes(payload: bytes) -> dict[int, bytes]:
    """The attributes of a message of netfilter, by their types."""
    found = {}
    data = payload[_FAMILY.size :]
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE] = data[_ATTRIBUTE.size : length]
        data = data[max(_aligned(length), _ATTRIBUTE.size) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
