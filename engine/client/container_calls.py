"""Calls of containers: their life, what they do now, and an image of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.client import create_body, errors, parse
from engine.client.connection import Connection, Filters, filters_of, segment
from engine.client.create import CreateContainer
from engine.client.model import (
    ContainerDetail,
    ContainerSummary,
    Death,
    FileChange,
    Limits,
    ProcessTable,
)

_LIMITS: Final = {
    "memory": "Memory",
    "memory_swap": "MemorySwap",
    "nano_cpus": "NanoCpus",
    "cpu_shares": "CpuShares",
    "pids_limit": "PidsLimit",
}
_KINDS_OF_CHANGE: Final = {0: "modified", 1: "added", 2: "deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A container that has been made, and what the endpoint warns of."""

    id: str
    warnings: tuple[str, ...] = ()


class ContainerCalls(Connection):
    def containers(
        self,
        *,
        all: bool = False,  # noqa: A002 - Docker's word
        filters: Filters | None = None,
        limit: int | None = None,
        size: bool = False,
    ) -> list[ContainerSummary]:
        """The containers, newest first; without *all* only those that run. *size* is slow: it measures each."""
        with errors.translated(self.base_url):
            rows = self._api.containers(all=all, filters=filters_of(filters), limit=limit or -1, size=size)
        return [parse.container_summary(row) for row in rows]

    def container(self, container: str) -> ContainerDetail:
        """One container by id, beginning of an id, or name."""
        with errors.translated(self.base_url):
            return parse.container_detail(self._api.inspect_container(container))

    def start(self, container: str) -> None:
        """Start it; it is no error that it already runs."""
        with errors.translated(self.base_url):
            self._api.start(container)

    def stop(self, container: str, *, timeout: int | None = None) -> None:
        """Stop it: its stop signal, then SIGKILL after *timeout* seconds (`None`: the container's own, else 10)."""
        with errors.translated(self.base_url):
            self._api.stop(container, timeout=timeout)

    def restart(self, container: str, *, timeout: int | None = None) -> None:
        with errors.translated(self.base_url):
            self._api.restart(container, timeout=10 if timeout is None else timeout)

    def kill(self, container: str, *, signal: str = "SIGKILL") -> None:
        with errors.translated(self.base_url):
            self._api.kill(container, signal=signal)

    def pause(self, container: str) -> None:
        with errors.translated(self.base_url):
            self._api.pause(container)

    def unpause(self, container: str) -> None:
        with errors.translated(self.base_url):
            self._api.unpause(container)

    def rename(self, container: str, name: str) -> None:
        with errors.translated(self.base_url):
            self._api.rename(container, name)

    def remove(self, container: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; *force* kills it first, *volumes* takes its anonymous volumes along."""
        with errors.translated(self.base_url):
            self._api.remove_container(container, v=volumes, force=force)

    def wait(self, container: str, *, timeout: int | None = None) -> int:
        """Wait until it does not run and return its exit code; `TimedOut` after *timeout* seconds."""
        with errors.translated(self.base_url):
            return int(self._api.wait(container, timeout=timeout)["StatusCode"])

    def update(
        self,
        container: str,
        *,
        limits: Limits | None = None,
        restart_policy: str = "",
        maximum_retries: int = 0,
    ) -> list[str]:
        """Change limits and the restart policy, at once where it runs; the warnings."""
        body: dict[str, Any] = {}
        if limits is not None:
            values = {field: getattr(limits, name) for name, field in _LIMITS.items()}
            body |= {field: value for field, value in values.items() if value is not None}
        if restart_policy:
            body["RestartPolicy"] = {"Name": restart_policy, "MaximumRetryCount": maximum_retries}
        return list(self._json("POST", f"/containers/{segment(container)}/update", body=body).get("Warnings") or ())

    def top(self, container: str) -> ProcessTable:
        """The processes of a running container; `Conflict` when it does not run."""
        with errors.translated(self.base_url):
            answer = self._api.top(container)
        return ProcessTable(
            titles=tuple(answer.get("Titles") or ()), rows=tuple(tuple(row) for row in answer.get("Processes") or ())
        )

    def changes(self, container: str) -> list[FileChange]:
        """What the container has changed of its image's files."""
        with errors.translated(self.base_url):
            rows = self._api.diff(container) or ()
        return [FileChange(path=row["Path"], kind=_KINDS_OF_CHANGE.get(row["Kind"], "modified")) for row in rows]

    def deaths(self, container: str, *, limit: int = 10) -> list[Death]:
        """Why the container ended, newest first. Endpoints other than Havre do not know: an empty list."""
        with errors.translated(self.base_url):
            api = self._api
            address = f"{api.base_url}/havre/v1/containers/{segment(container)}/deaths"
            answer = api.get(address, params={"limit": limit}, timeout=self.timeout)
        if answer.status_code == 404:
            return []
        if answer.status_code >= 400:
            raise errors.from_status(answer.status_code, answer.text)
        return [parse.death(row) for row in answer.json()]

    def create(self, request: CreateContainer) -> str:
        """Create a container and return its id. `NotFound` when the image is not there: pull it first."""
        return self.create_of(create_body.body(request), name=request.name).id

    def create_of(self, body: Mapping[str, Any], *, name: str = "") -> Created:
        """The same of a whole body of `POST /containers/create`, as it is."""
        found = self._json("POST", "/containers/create", parameters={"name": name} if name else None, body=body)
        return Created(id=str(found["Id"]), warnings=tuple(found.get("Warnings") or ()))

    def join(self, network: str, container: str, settings: Mapping[str, Any]) -> None:
        """Connect *container* to *network* with the endpoint's *settings* as inspect tells them."""
        body = {"Container": container, "EndpointConfig": dict(settings)}
        self._request("POST", f"/networks/{segment(network)}/connect", body=body).close()

    def commit(
        self, container: str, *, repository: str, tag: str, comment: str = "", author: str = "", pause: bool = True
    ) -> str:
        """Make an image of what *container* has written, and return its id."""
        parameters = {
            "container": container,
            "repo": repository,
            "tag": tag,
            "comment": comment,
            "author": author,
            "pause": str(int(pause)),
        }
        return str(self._json("POST", "/commit", parameters=parameters, body={}, patient=True)["Id"])
