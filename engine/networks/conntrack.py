"""Connections that the kernel remembers (nf_conntrack), forgotten when what they were led to is there no more.

The flow of datagrams, or a TCP connection whose end nobody saw, would otherwise go on to the address that it was
translated to, which may be another container's by then.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from pyroute2 import NFCTSocket
from pyroute2.netlink import NLM_F_ACK
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK
from pyroute2.netlink.nfnetlink.nfctsocket import IPCTNL_MSG_CT_DELETE, NFCTAttrTuple

from engine.networks.model import Address
from engine.networks.netlink import attribute, message, nested, talk

_LOG: Final = logging.getLogger(__name__)
_DELETE: Final = IPCTNL_MSG_CT_DELETE | (NFNL_SUBSYS_CTNETLINK << 8)
# Attributes of linux/netfilter/nfnetlink_conntrack.h, and the flags of a filter (net/netfilter/nf_conntrack_netlink.c).
_TUPLE_ORIG, _TUPLE_REPLY, _FILTER = 1, 2, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCES: Final = {4: 1, 6: 3}
_PROTO_NUMBER, _PROTO_TO = 1, 3
_BY_SOURCE, _BY_PROTOCOL, _BY_PORT = 1 << 0, 1 << 3, 1 << 5


def forget(addresses: Iterable[Address]) -> None:
    """Forget every connection that is answered from one of *addresses*.

    What the kernel does not forget is told to the log: the port is free all the same.
    """
    for address in addresses:
        tuple_ = nested(_TUPLE_IP, attribute(_SOURCES[address.version], address.packed))
        _forget(_family(address.version), _TUPLE_REPLY, tuple_, _BY_SOURCE, partial(_answers_from, address))


def forget_datagrams(ports: Iterable[tuple[int, int]]) -> None:
    """Forget the flows of UDP to *ports*, (IP version, number) each.

    They began before the port was published, and would not be translated for as long as their sender goes on.
    """
    for version, port in ports:
        number = attribute(_PROTO_NUMBER, bytes([socket.IPPROTO_UDP]))
        tuple_ = nested(_TUPLE_PROTO, number + attribute(_PROTO_TO, port.to_bytes(2, "big")))
        _forget(_family(version), _TUPLE_ORIG, tuple_, _BY_PROTOCOL | _BY_PORT, partial(_goes_to, port))


def _forget(family: int, direction: int, tuple_: bytes, flags: int, matches: Callable[[Any], bool]) -> None:
    try:
        try:
            _flush(family, direction, tuple_, flags)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            # Before Linux 6.11 the kernel does not choose by itself what it forgets: some versions say so, others
            # (6.1) miss what is not in the tuple.
            _delete_each(family, matches)
    except (NetlinkError, OSError) as error:
        _LOG.warning("connections are not forgotten: %s", error)


def _flush(family: int, direction: int, tuple_: bytes, flags: int) -> None:
    """Have the kernel delete all that is so in that direction; `OSError`."""
    # A filter's flags are numbered as the tuples that they are for.
    body = nested(direction, tuple_) + nested(_FILTER, attribute(direction, struct.pack("=I", flags)))
    talk(message(_DELETE, body, family=family, flags=NLM_F_ACK))


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
