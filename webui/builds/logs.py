"""What the steps of a build print: a file beside the database, written by the worker, read by the page piece by piece.

Each line is JSON: `{"s": step, "e": 1 for standard error, "t": text}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from django.conf import settings

MOST: Final = 16_000_000
"""Bytes that are kept of one build's output."""
PIECE: Final = 256_000
"""Bytes that are read at once."""


def path_of(job_id: object) -> Path:
    return settings.BUILD_LOGS_DIR / f"{job_id}.jsonl"


class BuildLog:
    """The worker's side; a context manager. A log that is there already, of a worker that died, is begun anew."""

    def __init__(self, job_id: object) -> None:
        directory = settings.BUILD_LOGS_DIR
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path_of(job_id), flags, 0o600), "wb")
        self._left = MOST
        self._cut = False

    def write(self, step: int, text: str, *, error: bool = False) -> None:
        """Keep what a step has printed, in whole lines of the file; past `MOST` a word says that it was cut."""
        if self._cut:
            return
        line = json.dumps({"s": step, "e": int(error), "t": text}, ensure_ascii=False).encode(errors="replace") + b"\n"
        if len(line) > self._left:
            self._cut = True
            line = json.dumps(
                {"s": step, "e": 1, "t": f"\n… more than {MOST // 10**6} MB; the rest is not kept\n"}
            ).encode()
            line += b"\n"
        self._left -= len(line)
        self._file.write(line)

    def flush(self) -> None:
        """Let the page see it."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Read:
    """A piece of a log."""

    rows: list[dict[str, Any]]
    offset: int
    """Where the next piece begins."""
    more: bool


def read(job_id: object, *, offset: int) -> Read:
    """What was printed from *offset* on, in whole lines; nothing where there is no log (any more)."""
    try:
        with path_of(job_id).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A log that was begun anew is shorter than what was read of the old one.
            begin = offset if 0 <= offset <= size else 0
            file.seek(begin)
            piece = file.read(PIECE)
    except FileNotFoundError:
        return Read([], 0, False)
    whole = piece[: piece.rfind(b"\n") + 1]
    end = begin + len(whole)
    return Read([json.loads(line) for line in whole.splitlines()], end, end < size and bool(whole))


def sweep(known: Collection[str]) -> int:
    """Remove the logs of builds that no row knows any more; how many there were."""
    count = 0
    if settings.BUILD_LOGS_DIR.is_dir():
        for path in settings.BUILD_LOGS_DIR.iterdir():
            if path.stem not in known:
                path.unlink(missing_ok=True)
                count += 1
    return count
