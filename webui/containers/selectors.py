"""What the container pages read."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator
from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from webui import gateway
from webui.containers import filtering
from webui.containers.log_rows import Bytes

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

    from webui.environments.models import Environment

PAGE_SIZES = (25, 50, 100, 500)
NEWEST_FIRST = "-created"
COLUMNS: Mapping[str, StrPromise] = {
    "image": _("Image"),
    "usage": _("CPU and memory"),
    "ports": _("Ports"),
    "networks": _("Networks"),
    "created": _("Created"),
}
"""What the list may show beside name and state."""
USUAL_COLUMNS = ("image", "usage", "ports", "created")

_ORDERS: Mapping[str, Callable[[gateway.ContainerSummary], Any]] = {
    "name": lambda container: container.name.casefold(),
    "image": lambda container: container.image.casefold(),
    "state": lambda container: (container.state != "running", container.state, container.name.casefold()),
    "created": lambda container: container.created,
}

SORTS = tuple(_ORDERS)


@dataclass(frozen=True, slots=True)
class ListState:
    """The whole state of the list, as the URL holds it: shareable, and the back button is true."""

    query: str = ""
    sort: str = NEWEST_FIRST
    page: int = 1
    size: int = PAGE_SIZES[1]
    columns: tuple[str, ...] = USUAL_COLUMNS

    @classmethod
    def from_query(cls, query: QueryDict) -> ListState:
        """What the URL says; a value that means nothing is the default, for a URL is no form."""
        sort = query.get("sort", NEWEST_FIRST)
        size = query.get("size", "")
        page = query.get("page", "1")
        columns = query.getlist("columns")
        return cls(
            query=query.get("q", "").strip()[: filtering.LONGEST_QUERY],
            sort=sort if sort.removeprefix("-") in _ORDERS else NEWEST_FIRST,
            page=int(page) if page.isdecimal() and len(page) < 7 else 1,
            size=int(size) if size.isdecimal() and int(size[:5]) in PAGE_SIZES else PAGE_SIZES[1],
            # An empty one stands for "none of them": a box that is not ticked sends nothing.
            columns=tuple(name for name in COLUMNS if name in columns) if columns else USUAL_COLUMNS,
        )

    @property
    def columns_query(self) -> str:
        """The choice of columns for a URL; empty for the usual one."""
        return "" if self.columns == USUAL_COLUMNS else urlencode({"columns": ("", *self.columns)}, doseq=True)

    @property
    def sort_key(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")


@dataclass(frozen=True, slots=True)
class Project:
    """What compose, or somebody by its label, keeps together."""

    name: str
    running: int
    total: int

    @property
    def query(self) -> str:
        """The filter for it alone."""
        return f"project:{shlex.quote(self.name)}"


@dataclass(frozen=True, slots=True)
class ContainerList:
    """One page of the list, and what is told above it."""

    page: Page[gateway.ContainerSummary]
    total: int
    """How many containers there are, whatever the filter."""
    running: int
    state: ListState
    projects: tuple[Project, ...] = ()


def container_list(*, environment: Environment, state: ListState, commands: bool) -> ContainerList:
    """The containers of *environment* that *state* asks for; `gateway.ClientError` when it does not answer.

    With *commands*, free text is looked for in them too.
    """
    with gateway.client(environment) as client:
        everything = client.containers(all=True)
    found = filtering.matching(everything, state.query, commands=commands)
    found.sort(key=_ORDERS[state.sort_key], reverse=state.descending)
    return ContainerList(
        page=Paginator(found, state.size).get_page(state.page),
        total=len(everything),
        running=sum(container.state == "running" for container in everything),
        state=state,
        projects=_projects(everything),
    )


def _projects(containers: Iterable[gateway.ContainerSummary]) -> tuple[Project, ...]:
    members: dict[str, list[bool]] = {}
    for container in containers:
        if name := container.labels.get(filtering.PROJECT):
            members.setdefault(name, []).append(container.state == "running")
    return tuple(Project(name, sum(running), len(running)) for name, running in sorted(members.items()))


def container_detail(*, environment: Environment, container: str) -> gateway.ContainerDetail:
    with gateway.client(environment) as client:
        return client.container(container)


def container_body(*, environment: Environment, container: gateway.ContainerDetail) -> dict[str, Any]:
    """The body that would make such a container, without what it has from its image."""
    with gateway.client(environment) as client:
        try:
            image = client.image(container.image_id).raw
        except gateway.NotFound:
            image = None
    return gateway.recreate.creation_body(container.raw, image)


def container_row(*, environment: Environment, container_id: str) -> gateway.ContainerSummary | None:
    """One row of the list, `None` when the container is gone."""
    with gateway.client(environment) as client:
        rows = client.containers(all=True, filters={"id": container_id})
    return next((row for row in rows if row.id == container_id), None)


def network_names(*, environment: Environment, trusted: bool) -> tuple[str, ...]:
    """The networks that a container may join, the usual three first; the host's own only for *trusted* people."""
    with gateway.client(environment) as client:
        names = {network.name for network in client.networks() if trusted or network.name != "host"}
    usual = [name for name in ("bridge", "host", "none") if name in names]
    return (*usual, *sorted(names.difference(usual)))


async def log_lines(*, environment: Environment, container: str, timestamps: bool) -> AsyncIterator[bytes]:
    """The log as lines of bytes, as the container wrote them."""
    encode = Bytes(timestamps=timestamps)
    async with gateway.async_client(environment) as client:
        async with contextlib.aclosing(client.logs(container, follow=False)) as batches:
            async for batch in batches:
                yield encode(batch)


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes with containers that are removed."""

    written: int
    """Bytes that they wrote outside of binds and volumes."""
    volumes: tuple[str, ...]
    """Volumes that were made for them alone."""


def containers_loss(*, environment: Environment, containers: Sequence[str]) -> Loss:
    with gateway.client(environment) as client:
        rows = client.containers(all=True, filters={"id": list(containers)}, size=True) if containers else []
        anonymous = {volume.name for volume in client.volumes() if volume.anonymous}
    mounted = {mount.name for row in rows for mount in row.mounts if mount.kind == "volume"}
    return Loss(written=sum(row.size_rw or 0 for row in rows), volumes=tuple(sorted(mounted & anonymous)))


def containers_stopped(*, environment: Environment) -> list[gateway.ContainerSummary]:
    """Those that do not run, with their sizes, the largest first."""
    with gateway.client(environment) as client:
        rows = client.containers(all=True, filters={"status": ["created", "exited", "dead"]}, size=True)
    return sorted(rows, key=lambda row: -(row.size_rw or 0))


def container_processes(*, environment: Environment, container: str) -> gateway.ProcessTable | None:
    """The processes of a container, `None` where it does not run."""
    with gateway.client(environment) as client:
        try:
            return client.top(container)
        except gateway.Conflict:
            return None


def container_changes(*, environment: Environment, container: str) -> list[gateway.FileChange]:
    with gateway.client(environment) as client:
        return client.changes(container)


def container_deaths(*, environment: Environment, container: str) -> list[gateway.Death]:
    """Why it ended, newest first; an engine that does not keep that gives an empty list."""
    with gateway.client(environment) as client:
        return client.deaths(container)
