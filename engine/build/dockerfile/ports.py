"""What EXPOSE means: ports and ranges of them, as an image's config has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.build.dockerfile.errors import Mistake

_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_NUMBER: Final = re.compile(r"\d{1,5}", re.ASCII)
_MOST: Final = 65535
_MOST_AT_ONCE: Final = 3 * 65536
"""Every port once, with each protocol."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """One word of EXPOSE."""

    first: int
    last: int
    protocol: str
    """As it was written, `tcp` where nothing is."""
    mapped: bool = False
    """Written with an address or a port of the host, which mean nothing in an image."""

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of a config's `ExposedPorts`: `80/tcp`."""
        return tuple(f"{number}/{self.protocol.lower()}" for number in range(self.first, self.last + 1))


def exposed(words: Sequence[str]) -> tuple[Exposed, ...]:
    """The ports that *words* name, their variables expanded; `Mistake` tells what is wrong and how to write it."""
    found: list[Exposed] = []
    count = 0
    for word in words:
        found.append(_parse(word, words))
        count += found[-1].last - found[-1].first + 1
        if count > _MOST_AT_ONCE:
            raise Mistake(f"EXPOSE names more than {_MOST_AT_ONCE} ports")
    return tuple(found)


def names(ports: Iterable[Exposed]) -> tuple[str, ...]:
    """The keys of a config's `ExposedPorts`, in their order."""
    return tuple(dict.fromkeys(name for port in ports for name in port.names))


def _parse(word: str, words: Sequence[str]) -> Exposed:
    *mapping, target = word.rsplit(":", 2)
    ports, _, protocol = target.partition("/")
    if "," in word:
        meant = " ".join(part for each in words for part in each.split(",") if part)
        raise Mistake(
            f"invalid containerPort: {word}: EXPOSE takes ports with spaces between them, without commas; "
            f"write EXPOSE {meant[:200]}",
            token=word,
        )
    if not ports:
        raise Mistake(f'invalid port: "{word}": no port specified', token=word)
    if protocol.lower() not in _PROTOCOLS and protocol:
        raise Mistake(
            f'invalid port: "{word}": invalid proto: {protocol}; write tcp, udp or sctp behind the slash', token=word
        )
    first, dash, last = ports.partition("-")
    found = Exposed(
        _number(first, ports, word),
        _number(last, ports, word) if dash else _number(first, ports, word),
        protocol or "tcp",
        mapped=any(mapping),
    )
    if found.last < found.first:
        raise Mistake(f"invalid containerPort: {ports}: the range ends before it begins", token=word)
    return found


def _number(text: str, ports: str, word: str) -> int:
    if _NUMBER.fullmatch(text) and int(text) <= _MOST:
        return int(text)
    raise Mistake(
        f"invalid containerPort: {ports}: write a number up to {_MOST}, or two with - between them", token=word
    )
