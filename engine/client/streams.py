"""Streams: events, logs and terminals, for asyncio. One `AsyncClient` belongs to one event loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiodocker
import aiohttp
from aiodocker.execs import Exec

from engine.client import errors, parse
from engine.client.connection import segment
from engine.client.frames import LogLines
from engine.client.model import ContainerDetail, Event, LogLine, UsageSample
from engine.client.terminal import Terminal
from engine.types import SECOND, parse_rfc3339

_NEWEST_API = (1, 44)
_CONSOLE_SIZE_API = (1, 42)
_PIECE = 256 * 1024


class AsyncClient:
    """A Docker-compatible endpoint, `unix:///path` or `tcp://host:port`; use it as an async context manager.

    *timeout*, in seconds, bounds connecting and simple calls; a stream may be silent for as long as it likes.
    """

    def __init__(self, base_url: str, *, timeout: float = 30) -> None:
        self.base_url = base_url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._patient = aiohttp.ClientTimeout(total=None, sock_connect=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._docker: aiodocker.Docker | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """End every stream and release the connections."""
        if self._docker is not None:
            await self._docker.close()
        if self._session is not None:
            await self._session.close()
        self._docker = self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def ping(self) -> None:
        """`Unreachable` when nobody answers."""
        client = await self._connect()
        with errors.translated(self.base_url):
            async with client.session.get("/_ping"):
                return

    async def container(self, container: str) -> ContainerDetail:
        """One container by id, beginning of an id, or name."""
        return parse.container_detail(await self._json("GET", f"/containers/{segment(container)}/json"))

    async def events(
        self, *, since: dt.datetime | None = None, filters: Mapping[str, Iterable[str]] | None = None
    ) -> AsyncIterator[Event]:
        """Events from now on, or those that the endpoint remembers from *since* on. Ends when the endpoint goes."""
        parameters: dict[str, str] = {}
        if since is not None:
            parameters["since"] = f"{since.timestamp():.9f}"
        if filters:
            parameters["filters"] = json.dumps({key: list(values) for key, values in filters.items()})
        async with self._request("GET", "/events", params=parameters, patience=self._patient) as response:
            with errors.translated(self.base_url):
                async for line in response.content:
                    if line.strip():
                        yield parse.event(json.loads(line))

    async def logs(
        self,
        container: str,
        *,
        tail: int | None = None,
        since: str = "",
        until: str = "",
        follow: bool = True,
        stdout: bool = True,
        stderr: bool = True,
    ) -> AsyncIterator[list[LogLine]]:
        """The lines of a container's log, in batches as they come; with *follow* until the container ends.

        *since* and *until* are RFC 3339 or unix seconds with a fraction; a `LogLine.time` serves as either.
        """
        answer = await self._json("GET", f"/containers/{segment(container)}/json")
        lines = LogLines(tty=bool((answer.get("Config") or {}).get("Tty")))
        parameters = {
            "stdout": str(int(stdout)),
            "stderr": str(int(stderr)),
            "follow": str(int(follow)),
            "timestamps": "1",
            "tail": "all" if tail is None else str(tail),
        } | {key: _unix(value) for key, value in (("since", since), ("until", until)) if value}
        path = f"/containers/{segment(container)}/logs"
        async with self._request("GET", path, params=parameters, patience=self._patient) as response:
            with errors.translated(self.base_url):
                async for data in response.content.iter_any():
                    if batch := lines.feed(data):
                        yield batch
            if batch := lines.end():
                yield batch

    async def stats(self, container: str) -> AsyncIterator[UsageSample]:
        """What the container uses, once a second for as long as it is there. `NotFound`."""
        path = f"/containers/{segment(container)}/stats"
        async with self._request("GET", path, params={"stream": "1"}, patience=self._patient) as response:
            with errors.translated(self.base_url):
                async for line in response.content:
                    if line.strip():
                        yield parse.usage_sample(json.loads(line))

    async def usage(self, container: str) -> UsageSample:
        """What the container uses at this moment. An endpoint before API 1.41 takes a second to tell."""
        path = f"/containers/{segment(container)}/stats"
        params = {"stream": "0", "one-shot": "1"}
        async with self._request("GET", path, params=params, patience=self._timeout) as response:
            with errors.translated(self.base_url):
                return parse.usage_sample(await response.json(content_type=None))

    async def archive(self, container: str, path: str) -> AsyncIterator[bytes]:
        """What is at *path* as a tar, in pieces. `NotFound`."""
        place = f"/containers/{segment(container)}/archive"
        async with self._request("GET", place, params={"path": path}, patience=self._patient) as response:
            with errors.translated(self.base_url):
                async for data in response.content.iter_chunked(_PIECE):
                    yield data

    async def export(self, container: str) -> AsyncIterator[bytes]:
        """The container's files as a tar, in pieces, without what is mounted in it."""
        place = f"/containers/{segment(container)}/export"
        async with self._request("GET", place, params={}, patience=self._patient) as response:
            with errors.translated(self.base_url):
                async for data in response.content.iter_chunked(_PIECE):
                    yield data

    async def exec_terminal(
        self,
        container: str,
        cmd: Sequence[str],
        *,
        user: str = "",
        rows: int = 24,
        cols: int = 80,
        env: Sequence[str] = ("TERM=xterm-256color",),
        working_dir: str = "",
    ) -> Terminal:
        """Run *cmd* in a running container on a terminal of its own. The container not running is a `Conflict`."""
        body: dict[str, Any] = {
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": True,
            "Cmd": list(cmd),
            "Env": list(env),
            "User": user,
            "WorkingDir": working_dir,
        }
        client = await self._connect()
        if _numbers(client.api_version) >= _CONSOLE_SIZE_API:
            body["ConsoleSize"] = [rows, cols]
        created = await self._json("POST", f"/containers/{segment(container)}/exec", body=body)
        session = Exec(client, str(created["Id"]), tty=True)
        terminal = Terminal(session, endpoint=self.base_url)
        await terminal.open(rows=rows, cols=cols)
        return terminal

    async def _connect(self) -> aiodocker.Docker:
        async with self._connecting:
            if self._docker is None:
                connector, address = _connector(self.base_url)
                session = aiohttp.ClientSession(address, connector=connector, timeout=self._timeout)
                try:
                    with errors.translated(self.base_url):
                        async with session.get("/_ping") as response:
                            offered = response.headers.get("Api-Version", "1.24")
                    version = min(_numbers(offered), _NEWEST_API)
                    self._docker = aiodocker.Docker(
                        address,
                        connector=connector,
                        session=session,
                        timeout=self._timeout,
                        api_version=f"v{version[0]}.{version[1]}",
                    )
                except BaseException:
                    await session.close()
                    raise
                self._session = session
            return self._docker

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, *, params: Mapping[str, str], patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        client = await self._connect()
        with errors.translated(self.base_url):
            response = await client.session.request(
                method, f"/{client.api_version}{path}", params=params, timeout=patience
            )
        try:
            if response.status >= 400:
                raise errors.from_status(response.status, await response.text())
            yield response
        finally:
            response.close()

    async def _json(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        client = await self._connect()
        with errors.translated(self.base_url):
            async with client.session.request(method, f"/{client.api_version}{path}", json=body) as response:
                if response.status >= 400:
                    raise errors.from_status(response.status, await response.text())
                answer: dict[str, Any] = await response.json(content_type=None)
                return answer


def _connector(base_url: str) -> tuple[aiohttp.BaseConnector, str]:
    """A connector without a limit (a hundred terminals are a hundred connections) and the address to ask."""
    scheme, _, rest = base_url.partition("://")
    if scheme == "unix":
        return aiohttp.UnixConnector(f"/{rest.lstrip('/')}", limit=0), "http://localhost"
    if scheme in ("tcp", "http"):
        return aiohttp.TCPConnector(limit=0), f"http://{rest}"
    raise errors.InvalidRequest(f"endpoint {base_url!r}: expected unix:///path or tcp://host:port")


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.removeprefix("v").partition(".")
    return int(major), int(minor or 0)


def _unix(text: str) -> str:
    """*text* as `seconds.nanoseconds`, which every endpoint reads; RFC 3339 in a query is a later invention."""
    instant = parse_rfc3339(text) if "T" in text else None
    return text if instant is None else f"{instant // SECOND}.{instant % SECOND:09d}"
