"""A terminal: a process in a container, behind a TTY, as bytes both ways."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiodocker.execs import Exec
from aiodocker.stream import Stream

from engine.client import errors

_SETTLE = 0.05
"""Seconds between looks at an exec that has closed its terminal but is not yet told as ended."""


class Terminal:
    """Made by `AsyncClient.exec_terminal`. One task reads, others may write, resize and close."""

    def __init__(self, session: Exec, *, endpoint: str) -> None:
        self._exec = session
        self._endpoint = endpoint
        self._stream: Stream | None = None

    @property
    def id(self) -> str:
        """The exec's id."""
        return self._exec.id

    async def open(self, *, rows: int, cols: int) -> None:
        stream = self._exec.start(detach=False)
        with errors.translated(self._endpoint):
            await stream.__aenter__()
        self._stream = stream
        # A process that has ended at once has no terminal left to resize: that is no reason to fail.
        with suppress(errors.ClientError):
            await self.resize(rows=rows, cols=cols)

    async def read(self) -> bytes:
        """The next bytes of output; `b""` when the process has ended or the terminal has been closed."""
        if self._stream is None:
            return b""
        with errors.translated(self._endpoint):
            message = await self._stream.read_out()
        return b"" if message is None else message.data

    async def write(self, data: bytes) -> None:
        """Type *data*; returns when the endpoint keeps up. After the end it does nothing."""
        if self._stream is None:
            return
        with errors.translated(self._endpoint):
            await self._stream.write_in(data)

    async def resize(self, *, rows: int, cols: int) -> None:
        with errors.translated(self._endpoint):
            await self._exec.resize(h=rows, w=cols)

    async def exit_code(self, *, wait: float = 2) -> int | None:
        """The process's exit code once it has ended; `None` when it has not within *wait* seconds."""
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            with errors.translated(self._endpoint):
                answer = await self._exec.inspect()
            if not answer.get("Running"):
                code = answer.get("ExitCode")
                return None if code is None else int(code)
            if asyncio.get_running_loop().time() >= deadline:
                return None
            await asyncio.sleep(_SETTLE)

    async def close(self) -> None:
        """Hang up. It may be called again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(AssertionError, OSError):
                await stream.close()
