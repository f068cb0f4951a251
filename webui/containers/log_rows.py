"""A log's lines as what goes to people: text, whatever the pieces in which a long line comes."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from webui import gateway

Row = tuple[str, int, str, int]
"""Time, stream (1 stdout, 2 stderr), text, and 1 where the next row of this stream goes on with the line."""

_Decoder = codecs.getincrementaldecoder("utf-8")


class Rows:
    """Turns the lines of one log into rows. Bytes that are no UTF-8 are replaced."""

    def __init__(self) -> None:
        self._cut: dict[str, codecs.IncrementalDecoder] = {}

    def __call__(self, lines: Iterable[gateway.LogLine]) -> list[Row]:
        return [(line.time, 2 if line.stream == "stderr" else 1, self._text(line), int(line.partial)) for line in lines]

    def _text(self, line: gateway.LogLine) -> str:
        """A long line is cut anywhere, within a character too: its rest comes with the next piece."""
        if not line.partial and line.stream not in self._cut:
            return line.data.decode("utf-8", "replace")
        decoder = self._cut.pop(line.stream, None) or _Decoder("replace")
        if line.partial:
            self._cut[line.stream] = decoder
        return decoder.decode(line.data, final=not line.partial)


class Bytes:
    """Turns the lines of one log into the bytes of a file, each line whole and, with *timestamps*, after its time."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._unended: set[str] = set()

    def __call__(self, lines: Iterable[gateway.LogLine]) -> bytes:
        return b"".join(part for line in lines for part in self._parts(line))

    def _parts(self, line: gateway.LogLine) -> Iterator[bytes]:
        if self._timestamps and line.stream not in self._unended:
            yield line.time.encode() + b" "
        yield line.data
        if line.partial:
            self._unended.add(line.stream)
        else:
            self._unended.discard(line.stream)
            yield b"\n"
