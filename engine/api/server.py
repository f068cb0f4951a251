"""The API's server: its socket, and the life of a request from the path to the answer."""

from __future__ import annotations

import asyncio
import errno
import grp
import logging
import os
import re
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from engine import errors
from engine.api import version as versions
from engine.api.call import Call, error_answer
from engine.api.connection import HttpServer, connection_of
from engine.api.query import Query
from engine.api.router import Router
from engine.api.routes import ALL
from engine.api.status import status_of
from engine.api.workers import Workers
from engine.kernel import cgroup

if TYPE_CHECKING:
    from engine.engine import Engine

_LOG: Final = logging.getLogger(__name__)
_VERSION: Final = re.compile(r"/v([0-9]{1,4}\.[0-9]{1,4})(/.*)")
_BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a JSON body; the CLI's largest is a container's config with its seccomp profile, some 50 KiB."""
_LINE_LIMIT: Final = 64 * 1024
"""Bytes of a request's line or of one header: credentials and filters are long."""
_READ_AHEAD: Final = 1024 * 1024
"""Bytes of a body that wait in memory for who reads it: less makes many small hops between threads of a `docker cp`."""
_BACKLOG: Final = 512
_IDLE: Final = 300.0
"""Seconds that a client may take for the head of a request, its first or a further one; dockerd's value."""
_GOODBYE: Final = 5.0
"""Seconds that running requests have to end when the server stops."""
_PATIENCE: Final = 2.0
"""Seconds that those of them have that wait for a container to end: it may be told to take days."""


class ApiServer:
    """Serves *engine* on the unix socket at *path*, for root and the members of *group*."""

    def __init__(self, engine: Engine, *, path: Path, group: str, connections: int | None = None) -> None:
        """At most *connections* at a time; half of the descriptors that this process may have, where it does not say.

        Each stream takes some beside its connection's own, and what containers need is not the clients' to take.
        """
        self._engine = engine
        self._connections = connections or resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._path = path
        self._group = group
        self._router = Router(*ALL)
        self._workers = Workers()
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None

    async def start(self) -> None:
        """Listen. A socket that an earlier daemon left is replaced; its lock is the caller's business."""
        server = HttpServer(
            self._handle,
            request_factory=self._request,
            # A client that leaves ends its request: a pull that nobody waits for stops.
            handler_cancellation=True,
            access_log=None,
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
            read_bufsize=_READ_AHEAD,
            keepalive_timeout=_IDLE,
        )
        server.most = self._connections
        server.greet = cgroup.expect_join  # who comes may want a process next
        self._server = server
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_GOODBYE)
        await self._runner.setup()
        site = web.SockSite(self._runner, listen(self._path, group=self._group), backlog=_BACKLOG)
        await site.start()

    async def close(self) -> None:
        """Stop listening, end the streams, let running calls finish."""
        self._path.unlink(missing_ok=True)
        for stream in tuple(self._streams):
            stream.cancel()
        patience = asyncio.get_running_loop().call_later(_PATIENCE, self._engine.containers.give_up_waits)
        if self._runner is not None and self._server is not None:
            left = [connection.transport for connection in self._server.connections]
            await self._runner.cleanup()
            for transport in left:
                # Who has not read until now would keep the thread that writes to him, and with it the daemon.
                if transport is not None:
                    transport.abort()
        patience.cancel()
        self._engine.containers.give_up_waits()
        await asyncio.to_thread(self._workers.close)

    def _request(self, message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
        return web.BaseRequest(
            message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=_BODY_LIMIT
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except errors.EngineError as error:
            return error_answer(status_of(error), str(error))
        except web.HTTPRequestEntityTooLarge:
            return error_answer(413, f"the request's body is larger than {_BODY_LIMIT} bytes")
        except web.HTTPException as error:  # the library's own, such as for a websocket without its headers
            return error_answer(error.status, error.text or error.reason)
        except (web.RequestPayloadError, HttpProcessingError) as error:
            return error_answer(400, f"the request's body is broken: {error}")
        except asyncio.CancelledError:
            # A thread may be waiting for more of the body: it hears of the end.
            request.content.set_exception(ConnectionResetError("the request has ended before its body was read"))
            raise
        except ConnectionError:
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                return self._defect(request)
            _LOG.warning("%s %s: no space left: %s", request.method, request.path, error)
            return error_answer(500, f"no space left on device: {error.filename}: remove containers or images")
        except Exception:  # noqa: BLE001 - the last resort: a defect must not end the connection without an answer
            return self._defect(request)
        finally:
            if (connection := connection_of(request)) is not None:
                connection.give_body_back()

    def _defect(self, request: web.BaseRequest) -> web.Response:
        _LOG.exception("%s %s failed", request.method, request.path)
        return error_answer(500, f"{request.method} {request.path}: the engine failed, its log tells more")

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, version = request.path, versions.NEWEST
        if match := _VERSION.fullmatch(path):
            version, path = versions.parse(match[1]), match[2]
        found = self._router.find(request.method, path)
        if found is None:
            return error_answer(404, "page not found")
        handler, arguments = found
        return await handler(
            Call(
                request=request,
                engine=self._engine,
                workers=self._workers,
                starting=self._starting,
                streams=self._streams,
                version=version,
                query=Query(request.query),
                arguments=arguments,
            )
        )


def listen(path: Path, *, group: str) -> socket.socket:
    """A listening socket at *path* that only root and *group* may open, from its first moment on.

    It is bound under another name, given its mode and group, and then moved into place. A group that does not exist
    leaves it to root alone.
    """
    temporary = path.with_name(f".{os.getpid()}")  # not longer than the name itself: a socket's path has 107 bytes
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(str(temporary))
    except OSError as error:
        listener.close()
        raise errors.EngineFault(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    try:
        os.chown(temporary, 0, grp.getgrnam(group).gr_gid)
        temporary.chmod(0o660)
    except KeyError:
        _LOG.warning("group %s does not exist: only root may use %s", group, path)
        temporary.chmod(0o600)
    listener.listen(_BACKLOG)
    temporary.replace(path)
    return listener
