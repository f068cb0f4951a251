"""Runs the unpack helper (`engine.snapshots.unpack`): feeds it a tar, and reads what it tells."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import Cancelled, EngineFault, InvalidParameter, StorageFull

_CODE: Final = Path(__file__).resolve().parents[2]
_HELPER: Final = (
    "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from engine.snapshots.unpack import main; os._exit(main())"
)
"""Imported rather than run as a script, for its compiled code to be cached. It leaves without clearing itself away."""
_PIPE_SIZE: Final = 1024 * 1024
_F_SETPIPE_SZ: Final = 1031
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED: Final = (
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMLINK,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EOVERFLOW,
    errno.EPERM,
)
"""What the kernel says of names and links that cannot be: the archive's fault, not the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """What one layer may be at most."""

    entries: int = 2_000_000
    bytes: int = 64 * 1024**3
    ratio: int = 1500
    """The most bytes that a compressed byte may become; deflate itself ends at 1032."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What the helper has done."""

    opaque: Sequence[bytes]
    """Directories that hide those of lower layers, absolute within the root."""
    bytes: int
    """Of the files' contents, and of the targets of symbolic links."""


class UnpackHelper:
    """One run of the helper with *arguments*, as its `main` takes them; *what* is unpacked, for messages.

    *descriptors* are open in the helper under the same numbers.
    """

    def __init__(self, *arguments: str, what: str, descriptors: Sequence[int] = ()) -> None:
        self._what = what
        # The helper is this very module's neighbour, run by this very interpreter, with nothing of the environment.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _HELPER, str(_CODE), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LANG": "C.UTF-8"},
            bufsize=0,
            pass_fds=descriptors,
        )
        if self._process.stdin is None:
            raise EngineFault("the unpack helper has no standard input")
        self._pipe = self._process.stdin.fileno()
        _grow(self._pipe)

    def write(self, data: bytes) -> None:
        """Hand on *data* of the uncompressed tar; blocks while the helper is behind."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except BrokenPipeError:
            raise self._ended_early() from None

    def fill(self, move: Callable[[int], bytes | None]) -> None:
        """Have *move* put some of the tar into the pipe, and write what it gives; after `None` there is room again."""
        try:
            data = move(self._pipe)
        except BrokenPipeError:
            raise self._ended_early() from None
        if data is None:
            poll = select.poll()
            poll.register(self._pipe, select.POLLOUT)
            poll.poll()
        elif data:
            self.write(data)

    def finish(self) -> Unpacked:
        """Wait for the helper; raises what it tells.

        `InvalidParameter` for an archive that is broken or refused, `StorageFull` when there is no room.
        """
        if self._process.returncode is not None:
            raise EngineFault("the unpack helper has already ended")
        out, complaints = self._process.communicate()
        try:
            *opaque, (word, *values) = [line.split(" ") for line in out.decode("ascii").splitlines()]
            if word == "done":
                return Unpacked(opaque=[bytes.fromhex(path) for _, path in opaque], bytes=int(values[1]))
            text = bytes.fromhex(values[-1]).decode(errors="replace")
            number = int(values[0]) if word == "failed" else 0
        except ValueError:
            if self._process.returncode == -signal.SIGKILL:
                raise Cancelled("the unpack helper was killed") from None
            text = complaints.decode(errors="replace").strip().rpartition("\n")[2][:500]
            raise EngineFault(f"the unpack helper broke with code {self._process.returncode}: {text}") from None
        if number in FULL:
            raise StorageFull(f"no room for {self._what}: {text}; free some space and try again")
        if word == "refused" or number in _REFUSED:
            raise InvalidParameter(f"{self._what} is refused: {text}")
        raise EngineFault(f"{self._what} cannot be unpacked: {text}")

    def _ended_early(self) -> EngineFault:
        """Raises what the helper tells, if it does."""
        self.finish()
        return EngineFault("the unpack helper ended before its archive did")

    def close(self) -> None:
        """End the helper, whatever it is doing."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _grow(pipe: int) -> None:
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_SIZE)
