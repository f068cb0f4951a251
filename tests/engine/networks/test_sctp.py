"""Published ports of SCTP: on a kernel that has none of it, what is refused; and what the firewall does with packets.

A kernel may lead SCTP to containers (netfilter) and have no sockets of it: packets are made by hand here (RFC 9260).
"""

from __future__ import annotations

import socket
import struct

import pytest

from engine.errors import NotImplementedHere
from engine.networks.model import PublishedPort
from tests.fixtures.netlab import Lab, LabService, inside

INSIDE = 8080
PORT = PublishedPort(container_port=INSIDE, protocol="sctp", host_port=18080)
LED = PublishedPort(container_port=INSIDE, protocol="sctp", host_ip="0.0.0.0", host_port=18080)


def has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def test_a_port_is_held_or_refused_whole(networks: LabService) -> None:
    web = PublishedPort(container_port=80, host_port=18080)
    if has_sctp():
        assert [row.host_ip for row in networks.plug(PORT).ports] == ["0.0.0.0"]
        return
    for ports in ([PORT], [web, PORT], [PORT, web]):
        with pytest.raises(NotImplementedHere, match="sctp ports cannot be published: this host's kernel lacks it"):
            networks.plug(*ports)
    assert networks.namespaces() == []
    assert networks.database.query("SELECT * FROM published_ports") == []
    assert len(networks.plug(web).ports) == 2, "the port of TCP beside it is free"


def test_packets_are_led_to_the_container_and_no_longer(host: Lab, networks: LabService) -> None:
    sandbox = networks.plug()
    (endpoint,) = sandbox.endpoints
    networks._publishing.lead(endpoint, [LED])  # what follows once the port is held
    with inside(sandbox, _listening) as listening:
        host.beyond(lambda: _send(host.inside, init(5000, 18080)))
        packet = listening.recv(200)
        source, data = socket.inet_ntoa(packet[12:16]), packet[20:]
        assert (source, *struct.unpack_from("!HH", data)) == (host.outside, 5000, INSIDE)
        assert crc32c(data[:8] + bytes(4) + data[12:]) == struct.unpack_from("<I", data, 8)[0]
        networks._publishing.withdraw(sandbox.container_id, [endpoint])
        host.beyond(lambda: _send(host.inside, init(5001, 18080)))
        listening.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listening.recv(200)
    assert "sctp" not in str(networks.database.query("SELECT * FROM published_ports"))


def init(source: int, destination: int) -> bytes:
    """The packet that begins an association: common header and an INIT chunk (RFC 9260, 3.1 and 3.3.2)."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
    header = struct.pack("!HHI", source, destination, 0)
    return header + struct.pack("<I", crc32c(header + bytes(4) + chunk)) + chunk


def crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260, appendix A)."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def _listening() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    opened.settimeout(3)
    return opened


def _send(address: str, packet: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP) as sender:
        sender.sendto(packet, (address, 0))
