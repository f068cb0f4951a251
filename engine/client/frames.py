"""Docker's multiplexed stream, from the client's side: frames of `[stream, 0, 0, 0, length as big-endian u32]`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal

from engine.client.model import LogLine

LONGEST: Final = 64 * 1024
"""Bytes of a terminal's line that are held until its end comes."""

_HEADER = struct.Struct(">BxxxL")
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {0: "stdout", 1: "stdout", 2: "stderr"}


class Demultiplexer:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[Literal["stdout", "stderr"], bytes]]:
        data = self._rest + data if self._rest else data
        position = 0
        while len(data) - position >= _HEADER.size:
            stream, length = _HEADER.unpack_from(data, position)
            end = position + _HEADER.size + length
            if end > len(data):
                break
            yield _STREAMS.get(stream, "stderr"), data[position + _HEADER.size : end]
            position = end
        self._rest = data[position:]


class LogLines:
    """Takes the bytes of a log that was asked for with timestamps and gives its lines.

    A TTY's log has no frames: there a line ends at its newline, and one that is longer than `LONGEST` comes in pieces.
    """

    def __init__(self, *, tty: bool) -> None:
        self._frames = None if tty else Demultiplexer()
        self._rest = b""

    def feed(self, data: bytes) -> list[LogLine]:
        if self._frames is not None:
            return [_line(frame, stream) for stream, frame in self._frames.feed(data)]
        *ends, self._rest = (self._rest + data).split(b"\n")
        lines = [_line(line + b"\n", "stdout") for line in ends]
        if len(self._rest) > LONGEST:
            piece = _line(self._rest, "stdout")
            lines.append(piece)
            self._rest = piece.time.encode() + b" "  # what goes on with it was written by that time's line
        return lines

    def end(self) -> list[LogLine]:
        """What is left when the log has ended in the middle of a line."""
        rest, self._rest = self._rest, b""
        return [_line(rest, "stdout")] if rest else []


def _line(data: bytes, stream: Literal["stdout", "stderr"]) -> LogLine:
    time, _, text = data.partition(b" ")
    whole = text.endswith(b"\n")
    return LogLine(time.decode("ascii", "replace"), stream, text.removesuffix(b"\n").removesuffix(b"\r"), not whole)
