"""The rule that leads a container's questions, at 127.0.0.11:53, to the ports of its resolver.

What `nft` would be told as

    table ip havre_dns {
        chain output {
            type nat hook output priority -100;
            ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:PORT
            ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:PORT
        }
    }

is one batch of messages here (linux/netfilter/nf_tables.h).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address
from typing import Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE

from engine.networks.files import EMBEDDED
from engine.networks.netlink import attribute, message, nested, talk

_SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES
_BEGIN, _END = 0x10, 0x11
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = (_SUBSYSTEM << 8 | number for number in (0, 2, 3, 6))
_TABLE: Final = attribute(1, b"havre_dns\0")
_OUTPUT: Final = b"output\0"
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_L4PROTO: Final = 16
_PORT: Final = 53


def redirect(*, datagrams: int, stream: int) -> None:
    """Lead questions to these ports, in this thread's namespace, instead of where they went; `OSError`."""
    hook = nested(4, _number(1, 3), attribute(2, struct.pack("!i", -100)))  # NF_INET_LOCAL_OUT, before others' NAT
    chain = _TABLE + attribute(3, _OUTPUT) + hook + attribute(7, b"nat\0")
    talk(
        message(_BEGIN, family=socket.AF_UNSPEC, resource=_SUBSYSTEM),
        _message(_NEWTABLE, _TABLE, NLM_F_CREATE),
        _message(_DELTABLE, _TABLE),
        _message(_NEWTABLE, _TABLE, NLM_F_CREATE),
        _message(_NEWCHAIN, chain, NLM_F_CREATE),
        _message(_NEWRULE, _rule(socket.IPPROTO_UDP, datagrams), NLM_F_CREATE | NLM_F_APPEND),
        _message(_NEWRULE, _rule(socket.IPPROTO_TCP, stream), NLM_F_CREATE | NLM_F_APPEND),
        message(_END, family=socket.AF_UNSPEC, resource=_SUBSYSTEM),
    )


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return message(kind, body, family=socket.AF_INET, flags=flags | NLM_F_ACK)


def _rule(protocol: int, port: int) -> bytes:
    address = IPv4Address(EMBEDDED).packed
    expressions = (
        _payload(_NETWORK_HEADER, offset=16, length=4),
        _equals(address),
        _expression("meta", _number(1, 1), _number(2, _L4PROTO)),
        _equals(bytes([protocol])),
        _payload(_TRANSPORT_HEADER, offset=2, length=2),
        _equals(struct.pack("!H", _PORT)),
        _expression("immediate", _number(1, 1), nested(2, attribute(1, address))),
        _expression("immediate", _number(1, 2), nested(2, attribute(1, struct.pack("!H", port)))),
        # To the address in register 1 and the port in register 2.
        _expression("nat", _number(1, 1), _number(2, socket.AF_INET), _number(3, 1), _number(5, 2)),
    )
    return _TABLE + attribute(2, _OUTPUT) + nested(4, *expressions)


def _payload(header: int, *, offset: int, length: int) -> bytes:
    """Load a part of the packet into register 1."""
    return _expression("payload", _number(1, 1), _number(2, header), _number(3, offset), _number(4, length))


def _equals(value: bytes) -> bytes:
    """Go on where register 1 holds *value*."""
    return _expression("cmp", _number(1, 1), _number(2, 0), nested(3, attribute(1, value)))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, attribute(1, name.encode() + b"\0"), nested(2, *attributes))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))
