"""What the palette finds by name: containers and their pages, images, networks, volumes, and what can be done."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.urls import reverse
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts.policy import Action

if TYPE_CHECKING:
    from webui.environments.models import Environment

MOST: Final = 20
LONGEST: Final = 100
"""Characters of a query that count."""


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the palette."""

    kind: str
    """container, image, network, volume, page or act."""
    name: str
    address: str
    note: str = ""
    words: str = ""
    """What is looked in beside the name."""


def find(*, environment: Environment, query: str, granted: Collection[Action]) -> list[Found]:
    """The best `MOST` lines in which every word of *query* occurs; pages and acts alone for an empty query.

    An engine that is away has no things, and its pages are found all the same.
    """
    words = query[:LONGEST].casefold().split()
    lines = list(_places(environment, granted))
    if words:
        # Whoever goes to one of its pages is told there that it is away.
        with contextlib.suppress(gateway.ClientError):
            lines = [*_things(environment, granted, tabs=len(words) > 1), *lines]
    ranked = [(rank, line) for line in lines if (rank := _rank(line, words)) is not None]
    return [line for _rank_, line in sorted(ranked, key=lambda each: each[0])[:MOST]]


def _rank(line: Found, words: list[str]) -> int | None:
    """Smaller is better: named so, begins so, has a word that begins so, has it within; `None` is no match."""
    name = line.name.casefold()
    text = f"{name} {line.words.casefold()}"
    if not all(word in text for word in words):
        return None
    query = " ".join(words)
    if name == query:
        return 0
    if name.startswith(query):
        return 1
    return 2 if any(part.startswith(words[0]) for part in _parts(name)) else 3


def _parts(name: str) -> Iterable[str]:
    return "".join(character if character.isalnum() else " " for character in name).split()


def _things(environment: Environment, granted: Collection[Action], *, tabs: bool) -> Iterator[Found]:
    with gateway.client(environment) as client:
        containers, images = client.containers(all=True), client.images()
        networks, volumes = client.networks(), client.volumes()
    for container in containers:
        where = {"env": environment.slug, "container_id": container.short_id}
        yield Found(
            "container", container.name, reverse("container", kwargs=where), container.status, container.short_id
        )
        # "web logs" is a page of the container web.
        for tab, label, action in _TABS if tabs else ():
            if action in granted:
                address = reverse(f"container-{tab}", kwargs=where)
                yield Found("container", f"{container.name} {tab}", address, label())
    for image in images:
        address = reverse("image", kwargs={"env": environment.slug, "image_id": image.short_id})
        for tag in image.tags:
            yield Found("image", tag, address, image.short_id, image.short_id)
    for network in networks:
        address = reverse("network", kwargs={"env": environment.slug, "network_id": network.short_id})
        yield Found("network", network.name, address, network.driver, network.short_id)
    for volume in volumes:
        address = reverse("volume", kwargs={"env": environment.slug, "name": volume.name})
        yield Found("volume", volume.name, address, volume.driver)


_TABS: Final = (
    ("logs", lambda: _("Logs"), Action.CONTAINER_LOGS),
    ("terminal", lambda: _("Terminal"), Action.CONTAINER_EXEC),
    ("usage", lambda: _("Usage"), Action.CONTAINER_USAGE),
    ("files", lambda: _("Files"), Action.CONTAINER_FILES),
    ("inspect", lambda: _("Inspect"), Action.CONTAINER_INSPECT),
    ("edit", lambda: _("Edit"), Action.CONTAINER_RECREATE),
)


def _places(environment: Environment, granted: Collection[Action]) -> Iterator[Found]:
    env = {"env": environment.slug}
    acts = (
        (_("New container"), "container-create", "run create", Action.CONTAINER_CREATE),
        (_("Pull an image"), "images", "download", Action.IMAGE_PULL),
        (_("New build"), "build-new", "dockerfile image", Action.BUILD_START),
        (_("New network"), "network-create", "create", Action.NETWORK_CREATE),
        (_("New volume"), "volume-create", "create", Action.VOLUME_CREATE),
        (_("Load an archive"), "image-load", "import upload image tar", Action.IMAGE_LOAD),
        (_("Compare images"), "image-compare", "difference layers", Action.IMAGE_INSPECT),
        (_("Remove unused images"), "image-prune", "prune clean disk", Action.IMAGE_PRUNE),
        (_("Remove unused volumes"), "volume-prune", "prune clean disk", Action.VOLUME_PRUNE),
    )
    pages = (
        (_("Dashboard"), "dashboard", "home", Action.ENVIRONMENT_VIEW),
        (_("Containers"), "containers", "ps", Action.CONTAINER_VIEW),
        (_("Images"), "images", "", Action.IMAGE_VIEW),
        (_("Builds"), "builds", "", Action.BUILD_VIEW),
        (_("Networks"), "networks", "", Action.NETWORK_VIEW),
        (_("Volumes"), "volumes", "", Action.VOLUME_VIEW),
        (_("Registries"), "registries", "login password", Action.REGISTRY_VIEW),
    )
    for kind, rows in (("act", acts), ("page", pages)):
        for name, view, words, action in rows:
            if action in granted:
                yield Found(kind, name, reverse(view, kwargs=env), words=words)
    yield Found("page", _("Jobs"), reverse("jobs"), words="progress")
