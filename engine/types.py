"""Small value types that every part of the engine shares.

An instant is an `int` of nanoseconds since the Unix epoch (UTC), from `now()`. It becomes text only at the edge,
by `rfc3339()`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from engine.errors import InvalidParameter

SECOND: Final = 1_000_000_000
"""Nanoseconds."""
ZERO_TIME: Final = "0001-01-01T00:00:00Z"
"""How Docker writes "never": the zero value of Go's `time.Time`."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UNIX = re.compile(r"-?\d{1,12}(\.\d{1,9})?")
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_ID = re.compile(r"[0-9a-f]{64}")


class Digest(str):
    """A content digest, `sha256:` and 64 hexadecimal digits (OCI image-spec, descriptor.md, "Digests").

    Only SHA-256 is accepted: it is the one algorithm that every registry must serve.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check *text* and return it as a digest; `InvalidParameter` when it is none."""
        if not _DIGEST.fullmatch(text):
            raise InvalidParameter(f"invalid digest {text[:100]!r}: expected sha256: and 64 hexadecimal digits")
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The digest of *data*."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 digits without the algorithm."""
        return self[7:]

    @property
    def short(self) -> str:
        """The 12 digits that people read."""
        return self[7:19]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on (OCI image-spec, image-index.md, "platform")."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def new_id() -> str:
    """A new random id of 64 hexadecimal digits that does not read as a number in its first 12.

    Docker does the same: a short id that is all digits could be taken for a number by tools that read it.
    """
    while True:
        identifier = secrets.token_hex(32)
        if not identifier[:12].isdigit():
            return identifier


def is_id(text: str) -> bool:
    """Whether *text* is a whole id."""
    return _ID.fullmatch(text) is not None


def now() -> int:
    """This instant, in nanoseconds since the epoch."""
    return time.time_ns()


def rfc3339(instant: int | None) -> str:
    """*instant* as Docker writes it: RFC 3339 in UTC, trailing zeros trimmed; `None` is the zero time."""
    if instant is None:
        return ZERO_TIME
    seconds, nanoseconds = divmod(instant, SECOND)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanoseconds:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def parse_rfc3339(text: str) -> int | None:
    """The instant that *text* names, `None` for the zero time; `InvalidParameter` when it is no RFC 3339 time."""
    if text in ("", ZERO_TIME):
        return None
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        raise InvalidParameter(f"invalid time {text[:60]!r}: expected RFC 3339, such as 2026-01-31T12:00:00.5Z")
    try:
        base = dt.datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidParameter(f"invalid time {text[:60]!r}: {error}") from error
    return int(base.timestamp()) * SECOND + int((match[2] or "0").ljust(9, "0"))


def parse_instant(text: str) -> int:
    """`seconds[.nanoseconds]` since the epoch, or RFC 3339; `InvalidParameter` when it is neither."""
    if _UNIX.fullmatch(text):
        return int(Decimal(text) * SECOND)
    return parse_rfc3339(text) or 0


def parse_bool(text: str) -> bool | None:
    """Yes or no in the words that Go's `strconv.ParseBool` knows; `None` where *text* says neither."""
    return True if text in _TRUE else False if text in _FALSE else None


def well_formed(text: str) -> str:
    """*text* with U+FFFD, as Go's decoder has it, where JSON spelt half a surrogate pair, which UTF-8 cannot have."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def printable(text: str, limit: int = 200) -> str:
    """The beginning of *text* without what could disturb a terminal: for messages that repeat a stranger's words."""
    return "".join(char for char in text[:limit] if char.isprintable())


def parse_duration(text: str) -> int | None:
    """Nanoseconds of a duration as Go writes it, such as `1h30m` or `1.5s`; `None` when *text* is none."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(int(Decimal(number) * _UNITS[unit]) for number, unit in parts)


def duration_text(nanoseconds: int) -> str:
    """A duration as Go writes it: `1m30s`, `1.5s`, `100ms`."""
    if not nanoseconds:
        return "0s"
    if nanoseconds < SECOND:
        for unit, size in (("ms", 1_000_000), ("µs", 1000)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.9g}{unit}"
        return f"{nanoseconds}ns"
    seconds, fraction = divmod(nanoseconds, SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{seconds}" + f".{fraction:09d}".rstrip("0").rstrip(".") if fraction else f"{seconds}"
    if hours:
        return f"{hours}h{minutes}m{tail}s"
    return f"{minutes}m{tail}s" if minutes else f"{tail}s"


def parse_until(text: str) -> int:
    """An instant as `parse_instant` reads it, or a duration before now such as `24h`."""
    duration = parse_duration(text)
    try:
        return now() - duration if duration is not None else parse_instant(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"until: {error}, or a duration such as 24h") from error
