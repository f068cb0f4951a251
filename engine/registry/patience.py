"""How long to wait for a registry, and for one that sends, but hardly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from engine.errors import Unavailable

NETWORK_ERRORS: Final = (requests.RequestException, HTTPError, OSError)
"""What requests and urllib3 raise when the network or the peer fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a registry, in seconds, and how often to ask again."""

    connect: float = 10.0
    read: float = 30.0
    """Between two pieces of an answer; its head must be there in twice the time."""
    storing: float = 300.0
    """The same while a registry stores what it has got."""
    attempts: int = 5
    first_pause: float = 0.25
    """Before the second attempt; doubles each time."""
    longest_pause: float = 10.0
    """The most that a registry's `Retry-After` is obeyed."""
    slowest: int = 512
    """Bytes a second that an answer must bring at least …"""
    slow_for: float = 30.0
    """… in so many seconds of waiting for it."""


class Pace:
    """Reads an answer's body as it comes, and gives up on a *peer* that only drips."""

    def __init__(self, response: requests.Response, *, peer: str, patience: Patience) -> None:
        self._response = response
        self._peer = peer
        self._patience = patience
        self._waited = 0.0
        self._came = 0

    def read(self, size: int) -> bytes:
        """At most *size* bytes, whatever is there; empty at the end. Raises `NETWORK_ERRORS`, or `Unavailable`.

        Only the time that the peer takes counts, not what is done with the bytes in between.
        """
        began = time.monotonic()
        data: bytes = self._response.raw.read1(size, decode_content=False)
        self._waited += time.monotonic() - began
        self._came += len(data)
        if self._waited >= self._patience.slow_for:
            if self._came < self._patience.slowest * self._waited:
                raise Unavailable(f"{self._peer} is too slow: {self._came} bytes in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return data

    def read_all(self, limit: int) -> bytes:
        """The whole body, or its first *limit* + 1 bytes."""
        chunks, left = [], limit + 1
        while left and (data := self.read(left)):
            chunks.append(data)
            left -= len(data)
        return b"".join(chunks)
