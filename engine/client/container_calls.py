"""Calls of containers beyond their life: creation from a whole body, a place in a network, an image of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.client import create_body
from engine.client.connection import Connection, segment
from engine.client.create import CreateContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A container that has been made, and what the endpoint warns of."""

    id: str
    warnings: tuple[str, ...] = ()


class ContainerCalls(Connection):
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
