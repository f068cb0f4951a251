"""Connections that the kernel remembers (nf_conntrack), forgotten when what they were led to is there no more.

The flow of datagrams, or a TCP connection whose end nobody saw, would otherwise go on to the address that it was
translated to, which may be another container's by then.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from pyroute2 import NFCTSocket
from pyroute2.netlink import NETLINK_NETFILTER, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK
from pyroute2.netlink.nfnetlink.nfctsocket import IPCTNL_MSG_CT_DELETE, NFCTAttrTuple

from engine.networks.model import Address

_LOG: Final = logging.getLogger(__name__)
_DELETE: Final = IPCTNL_MSG_CT_DELETE | (NFNL_SUBSYS_CTNETLINK << 8)
_HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr (netlink(7)): length, type, flags, sequence, port."""
_ERROR: Final = struct.Struct("=i")
# Attributes of linux/netfilter/nfnetlink_conntrack.h, and the flags of a filter (net/netfilter/nf_conntrack_netlink.c).
_TUPLE_ORIG, _TUPLE_REPLY, _FILTER = 1, 2, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCES: Final = {4: 1, 6: 3}
_PROTO_NUMBER, _PROTO_TO = 1, 3
_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5
_NESTED: Final = 1 << 15


def forget(addresses: Iterable[Address]) -> None:
    """Forget every connection that is answered from one of *addresses*.

    What the kernel does not forget is told to the log: the port is free all the same.
    """
    for address in addresses:
        tuple_ = _nested(_TUPLE_IP, _attribute(_SOURCES[address.version], address.packed))
        _forget(_family(address.version), _TUPLE_REPLY, tuple_, _BY_SOURCE, partial(_answers_from, address))


def forget_datagrams(ports: Iterable[tuple[int, int]]) -> None:
    """Forget the flows of UDP to *ports*, (IP version, number) each.

    They began before the port was published, and would not be translated for as long as their sender goes on.
    """
    for version, port in ports:
        number = _attribute(_PROTO_NUMBER, bytes([socket.IPPROTO_UDP]))
        tuple_ = _nested(_TUPLE_PROTO, number + _attribute(_PROTO_TO, port.to_bytes(2, "big")))
        _forget(_family(version), _TUPLE_ORIG, tuple_, _BY_PROTOCOL | _BY_PORT, partial(_goes_to, port))


def _forget(family: int, direction: int, tuple_: bytes, flags: int, matches: Callable[[Any], bool]) -> None:
    try:
        code = _flush(family, direction, tuple_, flags)
        if code == errno.EOPNOTSUPP:
            # Before Linux 6.11 the kernel does not choose by itself what it forgets.
            _delete_each(family, matches)
        elif code:
            raise OSError(code, os.strerror(code))
    except (NetlinkError, OSError) as error:
        _LOG.warning("connections are not forgotten: %s", error)


def _flush(family: int, direction: int, tuple_: bytes, flags: int) -> int:
    """Have the kernel delete all that is so in that direction; an errno, 0 when it has done so."""
    body = struct.pack("=BBH", family, 0, 0) + _nested(direction, tuple_)
    # A filter's flags are numbered as the tuples that they are for.
    body += _nested(_FILTER, _attribute(direction, struct.pack("=I", flags)))
    message = _HEADER.pack(_HEADER.size + len(body), _DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as kernel:
        kernel.settimeout(10)
        kernel.bind((0, 0))
        kernel.send(message)
        answer = kernel.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != NLMSG_ERROR:
        raise OSError(errno.EPROTO, f"an answer of type {kind}")
    return -int(_ERROR.unpack_from(answer, _HEADER.size)[0])


def _delete_each(family: int, matches: Callable[[Any], bool]) -> None:
    with NFCTSocket(nfgen_family=family) as conntrack:
        for entry in [entry for entry in conntrack.dump() if matches(entry)]:
            asked = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_ORIG"))
            try:
                conntrack.entry("del", tuple_orig=asked)
            except NetlinkError as error:
                if error.code != errno.ENOENT:
                    raise


def _answers_from(address: Address, entry: Any) -> bool:
    key = f"CTA_IP_V{address.version}_SRC"
    return bool(entry.get_attr("CTA_TUPLE_REPLY").get_nested("CTA_TUPLE_IP", key) == str(address))


def _goes_to(port: int, entry: Any) -> bool:
    """Whether it is a flow of UDP to that port."""
    protocol = entry.get_attr("CTA_TUPLE_ORIG").get_attr("CTA_TUPLE_PROTO")
    return bool(
        protocol.get_attr("CTA_PROTO_NUM") == socket.IPPROTO_UDP and protocol.get_attr("CTA_PROTO_DST_PORT") == port
    )


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _attribute(kind: int, value: bytes) -> bytes:
    """nlattr: length, type, value, padded to four bytes."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)
