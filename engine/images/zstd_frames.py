"""Where the frames of a zstd stream end (RFC 8878, 3.1): the decompressor does not tell a stream that was cut in the
middle of one from a whole, and a frame of a single block that was cut looks empty."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

_MAGIC: Final = 0xFD2FB528
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_RLE: Final = 1
_DICTIONARY_ID: Final = (0, 1, 2, 4)
_CONTENT_SIZE: Final = (0, 2, 4, 8)
_CHECKSUM: Final = 4


class FrameWatch:
    """Sees a stream pass and knows whether it may end there. What is no zstd at all it leaves to the decompressor."""

    def __init__(self) -> None:
        self._between = True
        self._seen = b""
        """The beginning of a header, of which the rest is still to come."""
        self._skipped = 0
        """Bytes of content that come before the next header."""
        self._headers = self._walk()
        self._wanted = next(self._headers)

    @property
    def whole(self) -> bool:
        """Whether every frame that has begun has ended."""
        return self._between and not self._seen and not self._skipped

    def see(self, data: bytes) -> None:
        """Follow the next bytes of the stream."""
        place = 0
        while place < len(data):
            if self._skipped:
                step = min(self._skipped, len(data) - place)
                self._skipped -= step
                place += step
                continue
            part = data[place : place + self._wanted - len(self._seen)]
            place += len(part)
            self._seen += part
            if len(self._seen) == self._wanted:
                header, self._seen = self._seen, b""
                self._wanted = self._headers.send(header)

    def _walk(self) -> Generator[int, bytes, None]:
        """Yields the length of the next header, and is sent its bytes."""
        while True:
            self._between = True
            magic = int.from_bytes((yield 4), "little")
            self._between = False
            if magic in _SKIPPABLE:
                self._skipped = int.from_bytes((yield 4), "little")
            elif magic == _MAGIC:
                yield from self._frame()
            else:
                self._skipped = 1 << 62  # the decompressor will say what is wrong

    def _frame(self) -> Generator[int, bytes, None]:
        [descriptor] = yield 1
        single = descriptor >> 5 & 1
        # Window descriptor, dictionary id and content size; where there is no window, the size has a byte at least.
        self._skipped = 1 - single + _DICTIONARY_ID[descriptor & 3] + (_CONTENT_SIZE[descriptor >> 6] or single)
        last = False
        while not last:
            block = int.from_bytes((yield 3), "little")
            last = bool(block & 1)
            self._skipped = 1 if block >> 1 & 3 == _RLE else block >> 3
        if descriptor & _CHECKSUM:
            yield _CHECKSUM
