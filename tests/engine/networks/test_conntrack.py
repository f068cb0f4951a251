"""Connections that the kernel remembers: none goes on to where its published port does not lead any more."""

from __future__ import annotations

import errno
import socket

import pytest
from pyroute2 import NFCTSocket

from engine.networks import conntrack
from engine.networks.model import PublishedPort
from tests.fixtures.netlab import Echo, Lab, LabService, address, ask, inside

WEB = 8080
DATAGRAMS = PublishedPort(container_port=WEB, protocol="udp", host_ip="0.0.0.0", host_port=18080)


@pytest.fixture(params=["by the kernel", "one by one"])
def older(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of forgetting: a kernel before 6.11 refuses the first."""
    if request.param == "one by one":

        def refuse(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "not by the kernel")

        monkeypatch.setattr(conntrack, "_flush", refuse)


def answered_from() -> list[str]:
    """Where the remembered connections are answered from."""
    with NFCTSocket(nfgen_family=socket.AF_INET) as kernel:
        answers = [entry.get_attr("CTA_TUPLE_REPLY") for entry in kernel.dump()]
    return [answer.get_nested("CTA_TUPLE_IP", "CTA_IP_V4_SRC") for answer in answers]


@pytest.mark.usefixtures("older")
def test_connections_of_a_container_that_has_gone_are_forgotten(host: Lab, networks: LabService) -> None:
    going = networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    staying = networks.plug(PublishedPort(container_port=WEB, host_port=18081))
    with inside(going, lambda: Echo(port=WEB)), inside(staying, lambda: Echo(port=WEB)):
        for port in (18080, 18081):
            assert host.beyond(lambda port=port: ask(host.inside, port)).endswith(" hello")
    assert {address(going), address(staying)} <= set(answered_from())
    networks.release(going.container_id)
    assert address(going) not in answered_from()
    assert address(staying) in answered_from()


@pytest.mark.usefixtures("older")
def test_a_flow_of_datagrams_follows_the_port(host: Lab, networks: LabService) -> None:
    """One sender, one socket: the kernel would lead all it ever sends to where the first datagram went."""
    with host.beyond(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.settimeout(0.3)
        sender.connect((host.inside, 18080))

        def answer() -> str:
            try:
                sender.send(b"hello")
                return sender.recv(100).decode().split()[1]
            except (TimeoutError, ConnectionRefusedError):
                return "nothing"

        assert answer() == "nothing", "nobody is there yet, and the kernel remembers that"
        for _ in range(2):
            sandbox = networks.plug(DATAGRAMS)
            filler = networks.plug()  # takes the address that is free next
            with inside(sandbox, lambda: Echo(port=WEB, kind=socket.SOCK_DGRAM)):
                assert answer() == "hello"
            networks.release(sandbox.container_id)
            assert answer() == "nothing"
            assert filler.netns is not None
