"""Streams between a browser and a container: its log, and a terminal in it.

They go from the engine's socket to the page without Redis or Celery between. A page that cannot keep up holds only its
own stream back: it grants the server credit by acknowledging what it has shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.containers.gauges import MOST, Watch, gauges
from webui.containers.log_rows import Rows
from webui.containers.reach import container_reached
from webui.live.consumers import Ending, PolicyConsumer

LINES_A_FRAME = 500
FRAMES_AHEAD = 16
"""Frames of log lines that may be under way before the page has acknowledged one."""

BYTES_AHEAD = 256 * 1024
"""Bytes of terminal output that may be under way before the page has acknowledged some."""

LONGEST_TAIL = 1_000_000
LARGEST_INPUT = 1024 * 1024
_ID = re.compile("[0-9a-f]{64}")

SHELLS: Mapping[str, tuple[str, ...]] = {
    # One sh decides, so that an image without bash needs no second try.
    "auto": ("/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh"),
    "bash": ("bash",),
    "sh": ("sh",),
    "ash": ("ash",),
    "zsh": ("zsh",),
}


class LogsConsumer(PolicyConsumer):
    """`/ws/e/<environment>/containers/<id>/logs/?tail=1000` or `?since=<time of the last line>`.

    Down: `{"type": "lines", "lines": [[time, 1 or 2, text, 1 where the next of this stream goes on with it], …]}`,
    `{"type": "resumed"}`, `{"type": "end", "reason"}`.
    Up: `{"type": "ack"}` for each frame of lines that the page has taken in.
    """

    action = Action.CONTAINER_LOGS

    async def opened(self) -> None:
        self._credit = asyncio.Semaphore(FRAMES_AHEAD)
        self.run(self._stream())

    async def received(self, message: Mapping[str, object]) -> None:
        if message.get("type") == "ack":
            self._credit.release()

    async def _stream(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        since = query.get("since", [""])[0][:40]
        tail = None if since else _tail(query.get("tail", ["1000"])[0])
        rows = Rows()
        if since:
            await self.send_json({"type": "resumed"})
        try:
            async with (
                gateway.async_client(self.environment) as client,
                contextlib.aclosing(
                    client.logs(self.kwargs["container_id"], tail=tail, since=since, follow=True)
                ) as batches,
            ):
                async for batch in batches:
                    for start in range(0, len(batch), LINES_A_FRAME):
                        await self._credit.acquire()
                        await self.send_json({"type": "lines", "lines": rows(batch[start : start + LINES_A_FRAME])})
        except gateway.NotFound:
            raise Ending(_("The container is gone.")) from None
        except gateway.ClientError as error:
            raise Ending(str(error), again=isinstance(error, gateway.Unreachable)) from error
        raise Ending(_("The container has ended: this is its whole log."))


class StatsConsumer(PolicyConsumer):
    """`/ws/e/<environment>/containers/<id>/stats/`: what the container uses, once a second.

    Down: `{"type": "sample", "at", "cpu", "memory", "limit", "received", "sent", "read", "written", "processes"}`; `at`
    is in milliseconds since the epoch, `cpu` in CPUs, the rest in bytes. And `{"type": "end", "reason"}`.
    """

    action = Action.CONTAINER_USAGE

    async def opened(self) -> None:
        self.run(self._stream())

    async def _stream(self) -> None:
        try:
            async with (
                gateway.async_client(self.environment) as client,
                contextlib.aclosing(client.stats(self.kwargs["container_id"])) as samples,
            ):
                async for sample in samples:
                    await self.send_json(
                        {
                            "type": "sample",
                            "at": int(sample.at.timestamp() * 1000) if sample.at else None,
                            "cpu": round(sample.cpu, 4),
                            "memory": sample.memory,
                            "limit": sample.memory_limit,
                            "received": sample.received,
                            "sent": sample.sent,
                            "read": sample.read,
                            "written": sample.written,
                            "processes": sample.processes,
                        }
                    )
        except gateway.NotFound:
            raise Ending(_("The container is gone.")) from None
        except gateway.ClientError as error:
            raise Ending(str(error), again=isinstance(error, gateway.Unreachable)) from error
        raise Ending(_("The container is gone."))


class GaugesConsumer(PolicyConsumer):
    """`/ws/e/<environment>/usage/`: what the containers of a list use, every few seconds.

    Up: `{"type": "watch", "ids": […]}`, the rows that are shown. Down: `{"type": "usage", "rows": {id: [CPUs or null,
    bytes of memory, its limit]}}`.
    """

    action = Action.CONTAINER_USAGE

    async def opened(self) -> None:
        self._watch: Watch | None = None
        self._ids: frozenset[str] = frozenset()
        self.run(self._stream())

    async def received(self, message: Mapping[str, object]) -> None:
        ids = message.get("ids")
        if message.get("type") == "watch" and isinstance(ids, list):
            self._ids = frozenset(each for each in ids[:MOST] if isinstance(each, str) and _ID.fullmatch(each))
            if self._watch is not None:
                self._watch.choose(self._ids)

    async def _stream(self) -> None:
        with gauges.watching(self.environment) as self._watch:
            self._watch.choose(self._ids)
            while True:
                await self.send_json({"type": "usage", "rows": await self._watch.news.get()})


class TerminalConsumer(PolicyConsumer):
    """`/ws/e/<environment>/containers/<id>/terminal/?shell=auto&user=&rows=24&cols=80`.

    Binary frames are bytes of the terminal, both ways. Down as text: `{"type": "ready"}`, `{"type": "end", "reason",
    "code"}`. Up as text: `{"type": "resize", "rows", "cols"}`, `{"type": "ack", "bytes"}`.
    """

    action = Action.CONTAINER_EXEC

    async def opened(self) -> None:
        self._terminal: gateway.Terminal | None = None
        self._ahead = 0
        self._room = asyncio.Event()
        self._room.set()
        self.run(self._stream())

    async def received(self, message: Mapping[str, object]) -> None:
        if message.get("type") == "ack":
            self._ahead = max(0, self._ahead - _number(message.get("bytes"), 0, BYTES_AHEAD * 4))
            if self._ahead < BYTES_AHEAD:
                self._room.set()
        elif message.get("type") == "resize" and self._terminal is not None:
            await self._terminal.resize(
                rows=_number(message.get("rows"), 24, 1000) or 24, cols=_number(message.get("cols"), 80, 1000) or 80
            )

    async def received_bytes(self, data: bytes) -> None:
        if self._terminal is not None and len(data) <= LARGEST_INPUT:
            await self._terminal.write(data)

    async def _stream(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("utf-8", "replace"))
        shell = query.get("shell", ["auto"])[0]
        try:
            await self._may_reach()
            async with gateway.async_client(self.environment) as client:
                terminal = await client.exec_terminal(
                    self.kwargs["container_id"],
                    SHELLS.get(shell, SHELLS["auto"]),
                    user=query.get("user", [""])[0][:256],
                    rows=_number(query.get("rows", ["24"])[0], 24, 1000) or 24,
                    cols=_number(query.get("cols", ["80"])[0], 80, 1000) or 80,
                )
                self._terminal = terminal
                try:
                    await self.send_json({"type": "ready"})
                    await self._pump(terminal)
                    code = await terminal.exit_code()
                finally:
                    self._terminal = None
                    await terminal.close()
                await self.send_json({"type": "end", "code": code, "reason": await self._why(client, code)})
        except (gateway.ClientError, policy.TooPowerful) as error:
            raise Ending(str(error)) from error

    @database_sync_to_async
    def _may_reach(self) -> None:
        container_reached(
            environment=self.environment, user=self.user, action=self.action, container=self.kwargs["container_id"]
        )

    async def _pump(self, terminal: gateway.Terminal) -> None:
        while data := await terminal.read():
            await self._room.wait()
            self._ahead += len(data)
            if self._ahead >= BYTES_AHEAD:
                self._room.clear()
            await self.send(bytes_data=data)

    async def _why(self, client: gateway.AsyncClient, code: int | None) -> str:
        """In words, why the terminal ended: the shell, the container, or the connection."""
        try:
            state = (await client.container(self.kwargs["container_id"])).state
        except gateway.NotFound:
            return _("The container was removed.")
        if not state.running:
            return _("The container has ended with code %(code)d.") % {"code": state.exit_code}
        if code is None:
            return _("The connection to the shell was closed.")
        if code == 0:
            return _("The shell has ended.")
        if code in (126, 127):
            return _("This shell cannot be run in the container (code %(code)d). Choose another.") % {"code": code}
        return _("The shell has ended with code %(code)d.") % {"code": code}


def _tail(text: str) -> int | None:
    return None if text == "all" else _number(text, 1000, LONGEST_TAIL)


def _number(value: object, default: int, most: int) -> int:
    """A number that came from outside, between 0 and *most*."""
    text = str(value)
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 10 else default
