"""What the image pages read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui import gateway

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


def image_list(*, environment: Environment, query: str = "") -> list[ImageRow]:
    """The images, newest first, whose tags or id contain *query*; `unused` finds those of no container."""
    with gateway.client(environment) as client:
        images = client.images()
        containers = client.containers(all=True)
    rows = [
        ImageRow(image, tuple(container for container in containers if container.image_id == image.id))
        for image in images
    ]
    if query == "unused":
        return [row for row in rows if not row.containers]
    wanted = query.casefold()
    return (
        [row for row in rows if any(wanted in tag.casefold() for tag in row.image.tags) or wanted in row.image.id]
        if wanted
        else rows
    )
