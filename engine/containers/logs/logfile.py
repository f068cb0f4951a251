"""The files of a container's log: what conmon writes, how it is cut into files, and how to read it fast.

A record is a line of `2026-01-31T12:00:00.123456789+00:00 stdout F text` (conmon's `k8s-file`, which is the format of
Kubernetes' CRI): always UTC here (`engine.containers.runtime.conmon`), so that each part has its fixed place. `P`
instead of `F` says that the text is a part of a line, without its end: conmon cuts wherever its 8 KiB of input end, so
that any line may come in two. `log` is being written, `log.1`, `log.2` and so on are ever older.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from engine.types import SECOND

FILES: Final = 100
"""How many files a log may be made to have at most, the one being written included."""

LINE: Final = 16 * 1024
"""The longest line that `Joiner` puts together; Docker's own limit."""

LogEntry = tuple[int, int, bytes]
"""Nanoseconds since the epoch, stream (1 stdout, 2 stderr), and text, with its line end where there is one."""

_SECOND: Final = 19
_FRACTION: Final = slice(20, 29)
_STREAM: Final = 39
_TAG: Final = 43
_TEXT: Final = 45
_GAPS: Final = 3
_TAIL_BLOCK: Final = 64 * 1024


class _Seconds(dict[bytes, int]):
    """The instants of whole seconds, by their text: a log has many records of the same second."""

    def __missing__(self, text: bytes) -> int:
        moment = dt.datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=dt.UTC)
        instant = int(moment.timestamp()) * SECOND
        if len(self) > 4096:
            self.clear()
        self[text] = instant
        return instant


_seconds: Final = _Seconds()


class Joiner:
    """Puts lines together from the parts of a log that come one after the other."""

    def __init__(self) -> None:
        self._parts: dict[int, LogEntry] = {}

    def __call__(self, data: bytes) -> list[LogEntry]:
        """The lines that end in *data*, whole records whose last line end has been taken off.

        Parts of a line longer than `LINE` come as entries of their own, without a line end but for the last.
        """
        entries = parse(data.split(b"\n"))
        if not self._parts and b" P " not in data:
            return entries
        lines: list[LogEntry] = []
        parts = self._parts
        for entry in entries:
            _, stream, text = entry
            if stream in parts:
                began, _, before = parts.pop(stream)
                text = before + text
                entry = (began, stream, text)
            if text[-1:] == b"\n" or len(text) >= LINE:
                lines.append(entry)
            else:
                parts[stream] = entry
        return lines

    @property
    def waiting(self) -> bool:
        """Whether there is a line whose end has not come."""
        return bool(self._parts)

    def flush(self) -> list[LogEntry]:
        """What there is of lines whose end has not come."""
        parts = sorted(self._parts.values())
        self._parts.clear()
        return parts


def parse(records: list[bytes]) -> list[LogEntry]:
    """The entries of *records*, which come without their line ends. What is no record (a cut one) is left out."""
    seconds = _seconds
    try:
        # One expression for the lot: this runs once for each line of a log, and logs have millions.
        return [
            (
                seconds[record[:_SECOND]] + int(record[_FRACTION]),
                1 if record[_STREAM] == 0x6F else 2,  # the o of stdout
                record[_TEXT:] + b"\n" if record[_TAG] == 0x46 else record[_TEXT:],  # F
            )
            for record in records
        ]
    except (ValueError, IndexError):
        if len(records) == 1:
            return []
    middle = len(records) // 2
    return parse(records[:middle]) + parse(records[middle:])


def paths(path: Path, *, files: int | None = None) -> Iterator[Path]:
    """Where the files of the log *path* may be, newest first: *files* of them, or as many as there can be."""
    yield path
    for number in range(1, files or FILES):
        yield path.with_name(f"{path.name}.{number}")


def open_files(path: Path, *, after: FileIO | None = None) -> list[FileIO]:
    """The log's files, oldest first; those newer than the file *after* where it is given. The caller closes them.

    Newest are opened first: a rotation in the meantime then shows as a file that has been opened already.
    """
    opened: list[FileIO] = []
    seen: set[tuple[int, int]] = set()
    last = _identity(after) if after is not None else None
    missing = 0
    for place in paths(path):
        try:
            file = place.open("rb", buffering=0)
        except FileNotFoundError:
            missing += 1
            # A rotation in the meantime leaves one gap, which moves under this look.
            if missing > _GAPS:
                break
            continue
        missing = 0
        identity = _identity(file)
        if identity == last:
            file.close()
            break
        if identity in seen:
            file.close()
            continue
        seen.add(identity)
        opened.append(file)
    return opened[::-1]


def seek_to_tail(files: list[FileIO], lines: int) -> list[FileIO]:
    """Those of *files* (oldest first) that hold the last *lines* lines, the first of them moved to where they begin.

    A line is counted by the record that ends it, of whichever stream; an unended one at the very end counts too.
    """
    found = 0
    last = True
    for index in range(len(files) - 1, -1, -1):
        for offset, tag in _records_backwards(files[index]):
            if tag == b"F" or last:
                found += 1
                if found > lines:
                    files[index].seek(offset)
                    return files[index:]
            last = False
        files[index].seek(0)
    return files


def mend(path: Path) -> None:
    """End the last record of the log *path* if a crash has cut it, so that the next one begins on its own line."""
    with suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _records_backwards(file: FileIO) -> Iterator[tuple[int, bytes]]:
    """For each whole record of *file*, last first: where it ends, and its tag."""
    position = file.seek(0, os.SEEK_END)
    rest = b""
    whole = False
    while position > 0:
        start = max(0, position - _TAIL_BLOCK)
        file.seek(start)
        data = file.read(position - start) + rest
        position = start
        records = data.split(b"\n")
        end = start + len(data)
        for record in reversed(records[1:] if start else records):
            if whole:
                yield end + 1, record[_TAG : _TAG + 1]
            whole = True
            end -= len(record) + 1
        rest = records[0] if start else b""


def _identity(file: FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
