"""HTTP connections that another thread can cut short, so that a pull ends the moment it is cancelled."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.ssl_ import resolve_cert_reqs

from engine.registry.certificates import Trust
from engine.registry.reach import PublicReach

_POOL_SIZE = 8
_PORTS: Final = {"http": 80, "https": 443}


class SocketSwitch:
    """Knows the open sockets of one client and shuts them all down on demand, whoever is reading from them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._off = False

    def register(self, connection: HTTPConnection) -> None:
        """Put *connection* under the switch; one that comes too late is cut at once."""
        with self._lock:
            self._connections.add(connection)
            off = self._off
        if off:
            _shut(connection)

    def turn_off(self) -> None:
        """Wake every reader with an end of file, and every connection to come."""
        with self._lock:
            self._off = True
            connections = tuple(self._connections)
        for connection in connections:
            _shut(connection)

    @contextlib.contextmanager
    def deadline(self, connection: HTTPConnection) -> Iterator[None]:
        """Cut *connection* when the block takes twice as long as its timeout: a head may drip in for ever."""
        timeout = connection.timeout
        if not isinstance(timeout, int | float):
            yield
            return
        late = threading.Event()

        def cut() -> None:
            late.set()
            _shut(connection)

        timer = threading.Timer(2 * timeout, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        if late.is_set():
            # To http.client the end of a connection is the end of a head as well.
            raise TimeoutError("the head of its answer did not come in time")


class CuttableAdapter(HTTPAdapter):
    """A requests adapter whose connections are registered with a `SocketSwitch`.

    It never retries: `engine.registry.transport` does, because it knows what has been read already.
    """

    def __init__(self, switch: SocketSwitch, trust: Trust | None, reach: PublicReach | None) -> None:
        self._switch = switch
        self._trust = trust
        self._reach = reach
        super().__init__(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _install(self.poolmanager, self._switch, self._trust, self._reach)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        _install(manager, self._switch, self._trust, None)
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        if self._reach is not None and select_proxy(str(request.url), kwargs.get("proxies")):
            self._reach.judge_behind_proxy(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
        return super().send(request, *args, **kwargs)


def new_session(switch: SocketSwitch, trust: Trust | None = None, reach: PublicReach | None = None) -> requests.Session:
    """A session that takes nothing from the environment: neither `.netrc` nor proxies nor certificates.

    What of the environment counts is passed with each request by the transport. Where there is a *reach*, connections
    go only to what that lets through: `Forbidden`.
    """
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, CuttableAdapter(switch, trust, reach))
    return session


def _install(manager: PoolManager, switch: SocketSwitch, trust: Trust | None, reach: PublicReach | None) -> None:
    trusted = trust or Trust(None, ())

    class PlainConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, reach, super()._new_conn)

        def connect(self) -> None:
            super().connect()
            switch.register(self)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            with switch.deadline(self):
                return super().getresponse()

    class SecureConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, reach, super()._new_conn)

        def connect(self) -> None:
            if self.ssl_context is None:
                verified = resolve_cert_reqs(self.cert_reqs) != ssl.CERT_NONE
                self.ssl_context = trusted.context(self.host, self.port, verified=verified)
            super().connect()
            # Skipping verification is the configuration's decision here, not an oversight to be warned of.
            self.is_verified = True
            switch.register(self)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            with switch.deadline(self):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


def _connected(
    connection: HTTPConnection, reach: PublicReach | None, connect: Callable[[], socket.socket]
) -> socket.socket:
    """What *connect* makes, to one of the addresses that *reach* lets through. TLS still asks for the host's name."""
    if reach is None:
        return connect()
    name = connection._dns_host
    failure: Exception | None = None
    for address in reach.addresses(name, connection.port):
        connection._dns_host = address
        try:
            return connect()
        except (NewConnectionError, ConnectTimeoutError) as error:
            failure = error
        finally:
            connection._dns_host = name
    raise failure or NewConnectionError(connection, f"{name} has no address")


def _shut(connection: HTTPConnection) -> None:
    held = connection.sock
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
