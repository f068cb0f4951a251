"""Names of containers, and the messages that ask for them."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from engine.networks.dns import wire
from engine.networks.dns.names import Names, reverse_address
from engine.networks.model import Endpoint
from engine.types import new_id


def endpoint(network: str, number: int, *names: str, links: dict[str, str] | None = None) -> Endpoint:
    """A container's place in *network*, with addresses that end in *number*."""
    third = {"one": 1, "two": 2}[network]
    return Endpoint(
        id=new_id(),
        network_id=f"id-of-{network}",
        network_name=network,
        container_id=new_id(),
        address=IPv4Interface(f"10.0.{third}.{number}/24"),
        address6=IPv6Interface(f"fd00:{third}::{number}/64") if third == 2 else None,
        names=names,
        links=links or {},
    )


@pytest.fixture
def names() -> Names:
    return Names()


def found(names: Names, name: str, *asking: Endpoint) -> list[str] | None:
    addresses = names.find(name, asking)
    return None if addresses is None else sorted(str(each) for each in addresses)


def test_a_name_is_found_in_the_networks_that_one_is_in(names: Names) -> None:
    web, web_too, other = (
        endpoint("one", 2, "web", "app"),
        endpoint("one", 3, "again", "app"),
        endpoint("two", 2, "web"),
    )
    for each in (web, web_too, other):
        names.add(each)
    asking = endpoint("one", 9)
    assert found(names, "web", asking) == ["10.0.1.2"]
    assert found(names, "WEB.", asking) == ["10.0.1.2"]
    assert found(names, "app", asking) == ["10.0.1.2", "10.0.1.3"]
    assert found(names, "web.one", asking) == ["10.0.1.2"]
    assert found(names, "web.two", asking) is None
    assert found(names, "nobody", asking) is None
    assert found(names, "web.two", asking, endpoint("two", 9)) == ["10.0.2.2", "fd00:2::2"]
    assert found(names, "web") is None


def test_a_name_goes_with_its_endpoint(names: Names) -> None:
    web = endpoint("one", 2, "web", "app")
    names.add(web)
    names.remove(web)
    names.remove(web)
    assert found(names, "web", endpoint("one", 9)) is None
    assert names.find_address(ip_address("10.0.1.2"), [endpoint("one", 9)]) is None
    assert (names._named, names._addressed, names._held) == ({}, {}, {})


def test_a_renamed_endpoint_is_found_by_its_new_name_alone(names: Names) -> None:
    web = endpoint("one", 2, "web")
    names.add(web)
    names.add(Endpoint(**{name: getattr(web, name) for name in Endpoint.__dataclass_fields__} | {"names": ("app",)}))
    asking = endpoint("one", 9)
    assert found(names, "web", asking) is None
    assert found(names, "app", asking) == ["10.0.1.2"]


def test_links_are_the_askers_own(names: Names) -> None:
    database = endpoint("one", 2, "database", "0123456789ab")
    names.add(database)
    by_name, by_id = (
        endpoint("one", 8, links={"db": "database"}),
        endpoint("one", 7, links={"db": "0123456789ab" * 5 + "0123"}),
    )
    assert found(names, "db", by_name) == found(names, "db", by_id) == ["10.0.1.2"]
    assert found(names, "db", endpoint("one", 9)) is None


def test_an_address_has_the_containers_name(names: Names) -> None:
    names.add(endpoint("two", 2, "web", "app"))
    asking = [endpoint("two", 9)]
    for address in ("10.0.2.2", "fd00:2::2"):
        assert names.find_address(ip_address(address), asking) == "web.two"
    assert names.find_address(ip_address("10.0.2.2"), [endpoint("one", 9)]) is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.0.10.in-addr.arpa.", "10.0.0.2"),
        ("2.0.0.10.IN-ADDR.ARPA", "10.0.0.2"),
        ("2.0." + "0." * 26 + "0.0.d.f.ip6.arpa.", "fd00::2"),
        ("0.0.10.in-addr.arpa.", None),
        ("x.0.0.10.in-addr.arpa.", None),
        ("999.0.0.10.in-addr.arpa.", None),
        ("zz." * 32 + "ip6.arpa", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_reverse_names(name: str, address: str | None) -> None:
    assert reverse_address(name) == (None if address is None else ip_address(address))


def ask(name: str, kind: str = "A", *, size: int = 0) -> bytes:
    record = DNSRecord.question(name, kind)
    if size:
        record.add_ar(EDNS0(udp_len=size))
    return bytes(record.pack())


def told(message: bytes, addresses: list[str] | None) -> DNSRecord | None:
    """The answer to *message* where its name has *addresses*."""
    found = None if addresses is None else [ip_address(each) for each in addresses]
    answer = wire.answer(wire.parse(message), find=lambda _: found, find_address=lambda _: "web.one")
    return None if answer is None else DNSRecord.parse(answer)


def test_an_answer_has_the_family_that_was_asked_for() -> None:
    for kind, address in (("A", "10.0.0.2"), ("AAAA", "fd00::2")):
        message = ask("web", kind)
        answer = told(message, ["10.0.0.2", "fd00::2"])
        assert answer is not None
        assert [(QTYPE[each.rtype], str(each.rdata), each.ttl) for each in answer.rr] == [(kind, address, wire.TTL)]
        assert answer.header.id == DNSRecord.parse(message).header.id
        assert (answer.header.qr, answer.header.ra, answer.header.rcode) == (1, 1, RCODE.NOERROR)
        assert str(answer.q.qname) == "web."


def test_a_name_without_that_family_has_nothing_and_is_asked_of_nobody_else() -> None:
    for kind in ("AAAA", "TXT", "MX"):
        answer = told(ask("web", kind), ["10.0.0.2"])
        assert answer is not None
        assert (answer.rr, answer.header.rcode) == ([], RCODE.NOERROR)


def test_others_are_asked_for_names_of_nobody_and_for_other_classes() -> None:
    assert told(ask("example.com"), None) is None
    chaos = DNSRecord.parse(ask("web"))
    chaos.q.qclass = 3
    assert told(bytes(chaos.pack()), ["10.0.0.2"]) is None
    assert (
        wire.answer(wire.parse(ask("2.0.0.8.in-addr.arpa", "PTR")), find=lambda _: [], find_address=lambda _: None)
        is None
    )


def test_reverse_questions() -> None:
    answer = told(ask("2.0.0.10.in-addr.arpa", "PTR"), None)
    assert answer is not None
    assert str(answer.rr[0].rdata) == "web.one."


@pytest.mark.parametrize(("size", "cut"), [(0, True), (1232, True), (4096, False), (65535, False)])
def test_a_long_answer_is_cut_to_what_the_asker_takes(size: int, *, cut: bool) -> None:
    question = wire.parse(ask("web", size=size))
    addresses = [ip_address(f"10.0.1.{number}") for number in range(1, 101)]
    whole = wire.answer(question, find=lambda _: addresses, find_address=lambda _: None)
    assert whole is not None
    sent = wire.shortened(question, whole)
    record = DNSRecord.parse(sent)
    assert bool(record.header.tc) is cut
    assert len(record.rr) == (0 if cut else 100)
    assert len(sent) <= max(size, 512)
    # By TCP all of it comes.
    assert len(DNSRecord.parse(whole).rr) == 100


def test_a_failure_says_so() -> None:
    question = wire.parse(ask("web"))
    assert DNSRecord.parse(wire.failure(question)).header.rcode == RCODE.SERVFAIL
    assert DNSRecord.parse(wire.failure(question, "REFUSED")).header.rcode == RCODE.REFUSED


def test_an_answer_belongs_to_its_question() -> None:
    question = ask("web")
    answer = bytes(DNSRecord.parse(question).reply().pack())
    assert wire.answers(answer, question)
    assert not wire.answers(question, question)
    assert not wire.answers(b"", question)
    assert not wire.answers(bytes([answer[0] ^ 1]) + answer[1:], question)
    assert not wire.answers(bytes(DNSRecord.parse(ask("other")).reply().pack()), question)


@given(st.binary(max_size=600))
def test_whatever_bytes_come_there_is_an_answer_or_none(message: bytes) -> None:
    try:
        question = wire.parse(message)
    except wire.Malformed:
        return
    answer = wire.answer(question, find=lambda _: [ip_address("10.0.0.2")], find_address=lambda _: "web.one")
    assert answer is None or DNSRecord.parse(answer).header.qr
    assert DNSRecord.parse(wire.failure(question)).header.rcode


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=60), st.integers(min_value=0, max_value=255))
def test_damaged_questions(tail: bytes, place: int, byte: int) -> None:
    message = bytearray(ask("web.example.com", size=1232) + tail)
    message[place % len(message)] = byte
    try:
        question = wire.parse(bytes(message))
    except wire.Malformed:
        return
    wire.answer(question, find=lambda _: [ip_address("10.0.0.2")], find_address=lambda _: None)
    wire.shortened(question, b"x" * 5000)
    wire.answers(bytes(message), bytes(message))
