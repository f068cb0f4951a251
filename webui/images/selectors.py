"""What the image pages read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui import gateway
from webui.images.layers import Step, steps
from webui.images.reclaim import Holdings, freed

if TYPE_CHECKING:
    from webui.environments.models import Environment


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image, and the containers that were made from it."""

    image: gateway.ImageSummary
    containers: tuple[gateway.ContainerSummary, ...]

    @property
    def name(self) -> str:
        return self.image.tags[0] if self.image.tags else self.image.short_id

    @property
    def dangling(self) -> bool:
        """Whether no name leads to it any more."""
        return not self.image.tags


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Everything on the page of an image."""

    image: gateway.ImageDetail
    steps: tuple[Step, ...]
    containers: tuple[gateway.ContainerSummary, ...]
    own: int
    """Bytes of its layers that no other image has."""
    freed: int
    """Bytes that its removal would free."""
    others: tuple[str, ...]
    """Names of the other images, to compare with."""

    @property
    def name(self) -> str:
        return self.image.tags[0] if self.image.tags else self.short_id

    @property
    def short_id(self) -> str:
        return self.image.id.removeprefix("sha256:")[:12]

    @property
    def largest(self) -> int:
        return max((step.size for step in self.steps), default=0)

    @property
    def running(self) -> tuple[gateway.ContainerSummary, ...]:
        return tuple(container for container in self.containers if container.running)


@dataclass(frozen=True, slots=True)
class ImageSteps:
    """An image and what it is made of, oldest first."""

    image: gateway.ImageDetail
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class PruneChoice:
    """What one way of pruning would take, and the bytes that it would free."""

    rows: tuple[ImageRow, ...]
    freed: int


@dataclass(frozen=True, slots=True)
class PrunePage:
    dangling: PruneChoice
    unused: PruneChoice
    """The dangling ones included."""


def image_list(*, environment: Environment, query: str = "") -> list[ImageRow]:
    """The images that *query* asks for, newest first.

    A query is words that must all hold: `unused` (of no container), `dangling` (without a name), or text in the names
    and the id.
    """
    with gateway.client(environment) as client:
        images = client.images()
        containers = client.containers(all=True)
    words = query.casefold().split()
    return [row for row in _rows(images, containers) if all(_holds(row, word) for word in words)]


def image_page(*, environment: Environment, image: str) -> ImagePage:
    """`gateway.NotFound` when there is none."""
    with gateway.client(environment) as client:
        detail = client.image(image)
        history = client.history(detail.id)
        containers = client.containers(all=True)
        images = client.images()
        own = Holdings.of(client, images).own(client, {detail.id})
        gone = freed(client, images, {detail.id})
    used = (container for container in containers if container.image_id == detail.id)
    return ImagePage(
        image=detail,
        steps=steps(detail, history),
        containers=tuple(sorted(used, key=lambda container: container.name)),
        own=own,
        freed=gone,
        others=names_of(each for each in images if each.id != detail.id),
    )


def image_steps(*, environment: Environment, image: str) -> ImageSteps:
    """`gateway.NotFound` when there is none."""
    with gateway.client(environment) as client:
        detail = client.image(image)
        return ImageSteps(image=detail, steps=steps(detail, client.history(detail.id)))


def prune_page(*, environment: Environment) -> PrunePage:
    """What could go, before it goes."""
    with gateway.client(environment) as client:
        images = client.images()
        rows = _rows(images, client.containers(all=True))
        unused = tuple(row for row in rows if not row.containers)
        dangling = tuple(row for row in unused if row.dangling)
        amounts = [freed(client, images, {row.image.id for row in choice}) for choice in (dangling, unused)]
    return PrunePage(PruneChoice(dangling, amounts[0]), PruneChoice(unused, amounts[1]))


def names_of(images: Iterable[gateway.ImageSummary]) -> tuple[str, ...]:
    """Every name of *images*, sorted."""
    return tuple(sorted(tag for image in images for tag in image.tags))


def _rows(
    images: Iterable[gateway.ImageSummary], containers: Iterable[gateway.ContainerSummary]
) -> tuple[ImageRow, ...]:
    users: dict[str, list[gateway.ContainerSummary]] = {}
    for container in sorted(containers, key=lambda container: container.name):
        users.setdefault(container.image_id, []).append(container)
    return tuple(ImageRow(image, tuple(users.get(image.id, ()))) for image in images)


def _holds(row: ImageRow, word: str) -> bool:
    if word == "unused":
        return not row.containers
    if word == "dangling":
        return row.dangling
    return any(word in tag.casefold() for tag in row.image.tags) or word in row.image.id
