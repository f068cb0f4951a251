"""The docker SDK's connection to a unix socket, mended: one that cannot connect closes its descriptor.

The SDK (7.2) leaves it to the garbage collector, which is a leak while an endpoint is away and somebody keeps asking.
"""

from __future__ import annotations

import socket
from typing import Any

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, self.timeout)  # type: ignore[arg-type]


class Adapter(UnixHTTPAdapter):
    """Mount it on an `APIClient` under `http+docker://`."""

    def get_connection(self, url: Any, proxies: Any = None) -> _Pool:  # noqa: ARG002 - requests' signature
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = self.pools[url] = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
            return pool
