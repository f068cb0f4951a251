"""The connection below every call: one docker SDK client, made at the first call, and what asks through it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import docker
import requests

from engine.client import errors
from engine.client.transport import Adapter

_OLDEST_API = "1.24"
_NEWEST_API = "1.44"

Filters = Mapping[str, str | Iterable[str]]


class Connection:
    """A Docker-compatible endpoint, `unix:///path` or `tcp://host:port`. It may be shared by threads.

    Making one asks nothing of the endpoint: the first call connects and agrees on the API's version. *timeout* is in
    seconds and bounds the wait for an answer's next bytes; calls that wait for a container add that wait to it.
    """

    def __init__(self, base_url: str, *, timeout: float = 30) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self._lock = threading.Lock()
        self._connected: docker.APIClient | None = None

    def close(self) -> None:
        with self._lock:
            if self._connected is not None:
                self._connected.close()
            self._connected = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _api(self) -> docker.APIClient:
        with self._lock:
            if self._connected is None:
                with self._client(_OLDEST_API) as first:
                    offered = first.version(api_version=False)["ApiVersion"]
                self._connected = self._client(min(offered, _NEWEST_API, key=_numbers))
            return self._connected

    def _client(self, version: str) -> docker.APIClient:
        api = docker.APIClient(base_url=self.base_url, version=version, timeout=self.timeout)  # type: ignore[arg-type]
        if self.base_url.startswith("unix://"):
            api.mount("http+docker://", Adapter(f"http+{self.base_url}", timeout=self.timeout))  # type: ignore[arg-type]
        return api

    def _request(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        patient: bool = False,
        **options: Any,
    ) -> requests.Response:
        """The answer to one request, or the error that it is. With *patient*, the endpoint may take its time.

        *path* begins after the API's version; what comes from outside in it goes through `segment` first.
        """
        with errors.translated(self.base_url):
            api = self._api
            response = api.request(
                method,
                f"{api.base_url}/v{api.api_version}{path}",
                params=parameters,
                json=body,
                timeout=(self.timeout, None) if patient else self.timeout,
                **options,
            )
        if response.status_code >= 400:
            with response:
                raise errors.from_status(response.status_code, response.text)
        return response

    def _is_havre(self) -> bool:
        """Whether the endpoint is Havre's engine, which offers `/havre/v1/…`."""
        with errors.translated(self.base_url):
            answer = self._api.get(f"{self._api.base_url}/_ping", timeout=self.timeout)
        return str(answer.headers.get("Server", "")).startswith("Havre/")

    def _json(self, method: str, path: str, **options: Any) -> Any:
        with self._request(method, path, **options) as response:
            return response.json() if response.content else None


def segment(name: str) -> str:
    """*name* as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def filters_of(filters: Filters | None) -> dict[str, list[str]] | None:
    if not filters:
        return None
    return {key: [value] if isinstance(value, str) else list(value) for key, value in filters.items()}


def filters_text(filters: Filters) -> dict[str, str]:
    """The query parameter `filters`."""
    return {"filters": json.dumps(filters_of(filters))} if filters else {}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
