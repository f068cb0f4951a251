"""Names, as containers ask for them at 127.0.0.11 in a real kernel."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from engine.networks.dns.upstream import HostServers
from engine.networks.model import Attachment, PublishedPort, Sandbox, SandboxRequest
from tests.fixtures.netlab import Lab, LabService, inside

RESOLVER = "127.0.0.11"


@pytest.fixture
def networks(host: Lab, tmp_path: Path) -> LabService:
    """On a host that knows no name server."""
    service = host.service()
    hosts_servers(service, tmp_path, "# none\n")
    return service


def ask(sandbox: Sandbox, name: str, kind: str = "A", *, tcp: bool = False) -> DNSRecord:
    """What a process of the container is told."""
    question = DNSRecord.question(name, kind)
    return DNSRecord.parse(inside(sandbox, lambda: question.send(RESOLVER, 53, tcp=tcp, timeout=3)))


def addresses(sandbox: Sandbox, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
    answer = ask(sandbox, name, kind, tcp=tcp)
    assert answer.header.rcode == RCODE.NOERROR
    return sorted(str(each.rdata) for each in answer.rr)


class Authority:
    """A name server that knows one address for every name, by UDP and TCP; ends with the context."""

    def __init__(self, host: str) -> None:
        self.asked: list[str] = []
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((host, 53))
        self._datagrams.settimeout(0.05)
        self._stream = socket.create_server((host, 53))
        self._stream.settimeout(0.05)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._by_datagram, self._by_stream)]

    def __enter__(self) -> Authority:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._datagrams.close()
        self._stream.close()

    def _answer(self, message: bytes) -> bytes:
        record = DNSRecord.parse(message)
        self.asked.append(str(record.q.qname))
        reply = record.reply()
        reply.add_answer(RR(record.q.qname, QTYPE.A, rdata=A("203.0.113.7"), ttl=60))
        return bytes(reply.pack())

    def _by_datagram(self) -> None:
        while not self._ended.is_set():
            try:
                message, sender = self._datagrams.recvfrom(4096)
            except TimeoutError:
                continue
            self._datagrams.sendto(self._answer(message), sender)

    def _by_stream(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._stream.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(3)
                length = int.from_bytes(connection.recv(2), "big")
                answer = self._answer(connection.recv(length))
                connection.sendall(len(answer).to_bytes(2, "big") + answer)


def hosts_servers(networks: LabService, tmp_path: Path, text: str) -> None:
    """Let the host's resolv.conf say *text*."""
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    networks._resolver._host = HostServers(path)


def test_containers_find_each_other(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    networks.made("two", "10.62.0.0/24")
    web = networks.plug_all(Attachment(network="one", aliases=("app",)), name="web")
    again = networks.plug_all(Attachment(network="one", aliases=("app",)), name="again")
    apart = networks.plug_all(Attachment(network="two", aliases=("app",)), name="apart")
    for name in ("web", "WEB", "web.one", web.container_id[:12]):
        assert addresses(again, name) == ["10.61.0.2"], name
    assert addresses(web, "app") == addresses(again, "app", tcp=True) == ["10.61.0.2", "10.61.0.3"]
    assert addresses(apart, "app") == ["10.62.0.2"]
    assert addresses(web, "again", "AAAA") == []
    assert str(ask(again, "2.0.61.10.in-addr.arpa", "PTR").rr[0].rdata) == "web.one."
    networks.release(web.container_id)
    assert addresses(again, "app") == ["10.61.0.3"]


def test_names_follow_what_containers_do(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    networks.made("two", "10.62.0.0/24")
    web, client = networks.plug(network="one", name="web"), networks.plug(network="two", name="client")
    joining = SandboxRequest(
        container_id=web.container_id, name="web", attachments=(Attachment(network="two", aliases=("www",)),)
    )
    networks.connect(joining)
    assert addresses(client, "www") == addresses(client, "web.two") == ["10.62.0.3"]
    assert addresses(web, "client") == ["10.62.0.2"]
    networks.rename(web.container_id, "web", "site")
    assert addresses(client, "site") == ["10.62.0.3"]
    networks.disconnect(joining)
    assert ask(client, "site").header.rcode == RCODE.SERVFAIL


def test_links_are_names_of_ones_own(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    linked = networks.plug_all(Attachment(network="one", links=("database:db",)), name="linked")
    other = networks.plug(network="one", name="other")
    networks.plug(network="one", name="database")
    assert addresses(linked, "db") == ["10.61.0.4"]
    assert ask(other, "db").header.rcode == RCODE.SERVFAIL


def test_ipv6(networks: LabService) -> None:
    networks.made("six", "10.66.0.0/24", "fd00:66::/64", ipv6=True)
    web, client = networks.plug(network="six", name="web"), networks.plug(network="six", name="client")
    assert addresses(client, "web", "AAAA") == ["fd00:66::2"]
    assert addresses(client, "web") == ["10.66.0.2"]
    pointer = ".".join(reversed("fd000066000000000000000000000002")) + ".ip6.arpa"
    assert str(ask(client, pointer, "PTR").rr[0].rdata) == "web.six."
    assert web.endpoints[0].gateway6 is not None


def test_other_names_are_asked_of_the_hosts_servers(networks: LabService, tmp_path: Path) -> None:
    networks.made("one", "10.61.0.0/24")
    networks.made("inner", "10.63.0.0/24", internal=True)
    client, shut = networks.plug(network="one", name="client"), networks.plug(network="inner", name="shut")
    # One that does not answer is passed over; the host's loopback is nothing that a container could reach itself.
    hosts_servers(networks, tmp_path, "nameserver 127.0.0.9\nnameserver 127.0.0.3\n")
    with Authority("127.0.0.3") as world:
        assert addresses(client, "example.com") == addresses(client, "example.org", tcp=True) == ["203.0.113.7"]
        assert world.asked == ["example.com.", "example.org."]
        assert ask(shut, "example.net").header.rcode == RCODE.SERVFAIL
        assert addresses(shut, "shut") == ["10.63.0.2"]
        assert len(world.asked) == 2, "a name is a way out, too"


def test_servers_of_ones_own_are_asked_from_the_container(host: Lab, networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    client = networks.plug_all(Attachment(network="one"), name="client", servers=(host.outside,))
    with host.beyond(lambda: Authority(host.outside)) as world:
        assert addresses(client, "example.com") == ["203.0.113.7"]
        assert addresses(client, "example.com", tcp=True) == ["203.0.113.7"]
        assert world.asked == ["example.com.", "example.com."]


def test_the_default_bridge_has_no_names(networks: LabService) -> None:
    with pytest.raises(TimeoutError):
        ask(networks.plug(name="web"), "web")


def test_a_container_may_serve_names_itself(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    server = networks.plug(network="one", name="server")
    with inside(server, lambda: Authority("0.0.0.0")):
        assert addresses(server, "server") == ["10.61.0.2"]


def test_a_container_that_outlived_its_daemon_is_answered_again(host: Lab, networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    web, client = networks.plug(network="one", name="web"), networks.plug(network="one", name="client")
    networks.close()
    again = host.service(live=(web.container_id, client.container_id))
    assert addresses(client, "web") == ["10.61.0.2"]
    later = again.plug(network="one", name="later")
    assert addresses(web, "later") == ["10.61.0.4"]
    for sandbox in (web, client, later):
        again.release(sandbox.container_id)
    assert again.database.query("SELECT * FROM resolvers") == []
    assert again.namespaces() == []


def test_nonsense_is_not_answered_and_harms_nobody(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    client = networks.plug(network="one", name="client")

    def shout() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            for message in (b"", b"x", b"\xff" * 600, DNSRecord.question("client").reply().pack(), bytes(12)):
                noise.sendto(message, (RESOLVER, 53))
        with socket.create_connection((RESOLVER, 53), 3) as connection:
            connection.sendall(b"\x00\x05hello")
            assert connection.recv(100) == b""

    inside(client, shout)
    assert addresses(client, "client") == ["10.61.0.2"]


def test_who_asks_without_end_is_answered_and_harms_nobody(networks: LabService) -> None:
    networks.made("one", "10.61.0.0/24")
    loud, calm = networks.plug(network="one", name="loud"), networks.plug(network="one", name="calm")
    question = DNSRecord.question("calm").pack()
    with inside(loud, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as shouting:
        for _ in range(3000):
            shouting.sendto(question, (RESOLVER, 53))
        assert addresses(calm, "loud") == ["10.61.0.2"]
        # What does not fit is lost; what fits is answered, and then there is room again.
        shouting.settimeout(1)
        with suppress(TimeoutError):
            while shouting.recv(512):
                pass
    assert addresses(loud, "calm") == ["10.61.0.3"]


def test_a_daemon_with_many_descriptors_answers_all_the_same(networks: LabService) -> None:
    """What waits with select(2) ends the process at descriptor 1024."""
    networks.made("one", "10.61.0.0/24")
    with ExitStack() as held:
        for _ in range(1100):
            held.callback(os.close, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        port = PublishedPort(container_port=80, protocol="udp", host_port=18080)
        sandbox = networks.plug(port, network="one", name="late")
        assert addresses(sandbox, "late") == ["10.61.0.2"]
        networks.release(sandbox.container_id)
