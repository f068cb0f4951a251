"""Making an image of a container (Docker Engine API, `ImageCommit`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final

from engine.containers.files.service import ContainerFiles
from engine.containers.model import Status
from engine.containers.service import ContainerService
from engine.errors import Conflict, ImageNotFound
from engine.images.model import ConfigChange
from engine.images.service import ImageService
from engine.registry.reference import Reference
from engine.types import Digest

_NOT_THE_IMAGES: Final = frozenset(
    {
        "AttachStderr",
        "AttachStdin",
        "AttachStdout",
        "Domainname",
        "Hostname",
        "Image",
        "MacAddress",
        "NetworkDisabled",
        "OpenStdin",
        "StdinOnce",
        "StopTimeout",
        "Tty",
    }
)
"""What a container was asked for itself, and its image's containers are not to inherit."""


class Commits:
    """Makes images of the containers of *containers*."""

    def __init__(self, *, containers: ContainerService, files: ContainerFiles, images: ImageService) -> None:
        self._containers = containers
        self._files = files
        self._images = images

    def commit(
        self,
        text: str,
        *,
        reference: Reference | None = None,
        comment: str = "",
        author: str = "",
        pause: bool = True,
        change: ConfigChange = dict,
        config: Mapping[str, Any] | None = None,
    ) -> Digest:
        """The id of an image with the container's files and config, the latter after *change*.

        The container stands still meanwhile, unless *pause* is false. *config* replaces parts of its own. Named by
        *reference* where that is given. `InvalidParameter` for a change that cannot be made.
        """
        container = self._containers.get(text)
        if container.state.status is Status.RESTARTING:
            raise Conflict(f"container {container.short_id} is restarting: wait until it runs, then commit")
        merged = {key: value for key, value in container.raw_config.items() if key not in _NOT_THE_IMAGES}
        merged |= {key: value for key, value in (config or {}).items() if value not in (None, "", [], {}, False, 0)}
        merged = change({key: value for key, value in merged.items() if key not in _NOT_THE_IMAGES})
        try:
            parent = self._images.get(container.image)
        except ImageNotFound as error:
            raise Conflict(
                f"the image of container {container.name} has been removed by force: export the container instead"
            ) from error
        command = " ".join((container.path, *container.args))
        with self._files.still(container) if pause else nullcontext(), self._files.layer(container) as layer:
            image_id = self._images.add_layer(
                str(parent.id),
                layer,
                config=merged,
                history={"created_by": command, "author": author, "comment": comment},
                author=author,
                origin={"container": container.id, "container_config": dict(container.raw_config)},
                reference=reference,
            )
        self._containers.tell(
            container, "commit", comment=comment, imageID=image_id, imageRef=reference.familiar if reference else ""
        )
        return image_id
