"""Messages of the domain name system (RFC 1035), read and written by dnslib. What comes in is a stranger's."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dnslib import AAAA, CLASS, EDNS0, PTR, QTYPE, RCODE, RR, A, DNSRecord

from engine.networks.dns.names import reverse_address
from engine.networks.model import Address

TTL: Final = 10
"""Seconds: who keeps an answer must not find a container's address long after it has gone. Docker says 600."""
PLAIN_SIZE: Final = 512
"""Bytes of a UDP message without EDNS (RFC 1035, 4.2.1)."""
LARGEST: Final = 4096
"""Bytes of a UDP message that is sent at most, whatever the question allows."""
_QUERY: Final = 0
_HEADER: Final = 12
_IS_ANSWER: Final = 0x80
_INTERNET: Final = CLASS.reverse["IN"]


class Malformed(ValueError):
    """Not a question that can be answered, not even by an error."""


@dataclass(frozen=True, slots=True)
class Question:
    """A message that asks one thing."""

    record: DNSRecord
    name: str
    kind: str
    """`A`, `AAAA`, `PTR`, …"""

    @property
    def size(self) -> int:
        """Bytes that the asker takes by UDP (RFC 6891, 6.2.3)."""
        for extra in self.record.ar:
            if extra.rtype == QTYPE.OPT:
                return min(max(int(extra.rclass), PLAIN_SIZE), LARGEST)
        return PLAIN_SIZE


def parse(message: bytes) -> Question:
    """The question in *message*; `Malformed`."""
    try:
        record = DNSRecord.parse(message)
        header = record.header
        if header.qr or header.opcode != _QUERY or len(record.questions) != 1:
            raise Malformed(f"no single question: {header}")
        question = record.questions[0]
        return Question(record, str(question.qname), QTYPE.forward.get(question.qtype, str(question.qtype)))
    except Malformed:
        raise
    except Exception as error:
        raise Malformed(f"no message: {error}") from error


def answer(
    question: Question,
    *,
    find: Callable[[str], list[Address] | None],
    find_address: Callable[[Address], str | None],
) -> bytes | None:
    """The answer where the names asked for are the engine's own; `None` where others must be asked.

    Of a container's name there is nothing but addresses, and nobody else is asked for more.
    """
    if question.record.questions[0].qclass != _INTERNET:
        return None
    if question.kind == "PTR":
        address = reverse_address(question.name)
        name = find_address(address) if address is not None else None
        return None if name is None else _reply(question, [("PTR", PTR(name))])
    addresses = find(question.name)
    if addresses is None:
        return None
    version = {"A": 4, "AAAA": 6}.get(question.kind, 0)
    wanted = [address for address in addresses if address.version == version]
    random.shuffle(wanted)  # those who share an alias share its load
    data = [(question.kind, A(str(each)) if version == 4 else AAAA(str(each))) for each in wanted]
    return _reply(question, data)


def failure(question: Question, code: str = "SERVFAIL") -> bytes:
    """An answer that says that there is none (RFC 1035, 4.1.1, RCODE)."""
    reply = question.record.reply(ra=1, aa=0)
    reply.header.rcode = RCODE.reverse[code]
    return bytes(reply.pack())


def shortened(question: Question, message: bytes) -> bytes:
    """*message* as it fits into a datagram for the asker: too long a one is cut, and he asks again by TCP."""
    if len(message) <= question.size:
        return message
    reply = question.record.reply(ra=1, aa=0)
    reply.header.tc = 1
    return bytes(reply.pack())


def answers(message: bytes, question: bytes) -> bool:
    """Whether *message* is the answer to *question*: the same id, and the same thing asked (RFC 5452, 9.1)."""
    if len(message) < _HEADER or message[:2] != question[:2] or not message[2] & _IS_ANSWER:
        return False
    end = question.find(0, _HEADER)
    if end < 0:
        return False
    # The name, without regard to case, and its type and class.
    return (
        message[_HEADER:end].lower() == question[_HEADER:end].lower()
        and message[end : end + 5] == question[end : end + 5]
    )


def _reply(question: Question, data: list[tuple[str, object]]) -> bytes:
    reply = question.record.reply(ra=1, aa=0)
    for kind, value in data:
        reply.add_answer(RR(question.record.q.qname, QTYPE.reverse[kind], rdata=value, ttl=TTL))
    if any(extra.rtype == QTYPE.OPT for extra in question.record.ar):
        reply.add_ar(EDNS0(udp_len=LARGEST))
    return bytes(reply.pack())
