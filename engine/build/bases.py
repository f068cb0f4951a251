"""The images that a build begins with or copies from: found here or pulled, and held until it ends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from engine.build.options import BuildOptions
from engine.build.progress import Pulling, Tell
from engine.errors import ImageNotFound, InvalidParameter
from engine.images.model import Image
from engine.images.service import ImageService
from engine.registry.auth import RegistryAuth
from engine.registry.platforms import normalised, parse_platform, suits
from engine.registry.reach import PublicReach
from engine.registry.reference import Reference
from engine.types import Digest, Platform

_HUB: Final = ("docker.io", "index.docker.io", "https://index.docker.io/v1/", "https://index.docker.io/v1")


class Bases:
    """The images of one build; `close` lets go of them."""

    def __init__(
        self,
        images: ImageService,
        options: BuildOptions,
        *,
        reach: PublicReach | None,
        tell: Tell,
        cancel: threading.Event,
    ) -> None:
        """*reach* limits where registries may be that *options* do not name."""
        self._images = images
        self._options = options
        self._reach = reach
        self._tell = tell
        self._cancel = cancel
        self._kept: list[Digest] = []
        self._lock = threading.Lock()
        self._pulling = threading.Lock()
        self._pulled: set[str] = set()

    def close(self) -> None:
        """Let go of all images."""
        self._images.release(self._kept)
        self._kept.clear()

    def get(self, name: str, *, platform: str, step: int) -> Image:
        """The image *name*, for *platform* or else the build's: pulled where it is missing or the caller wants it.

        Errors as of a pull; `InvalidParameter` when the image that is here is for another platform.
        """
        wanted = parse_platform(platform) or self._options.platform
        with self._pulling:
            if self._options.pull and name not in self._pulled:
                self._pull(name, wanted, step)
            found = self.find(name)
            if found is None or (wanted is not None and not _suits(found, wanted) and name not in self._pulled):
                self._pull(name, wanted, step)
                found = self.find(name)
        if found is None:
            raise ImageNotFound(name)
        if wanted is not None and not _suits(found, wanted):
            raise InvalidParameter(
                f"image with reference {name} was found but does not match the specified platform: "
                f"wanted {wanted}, actual: {found.platform}"
            )
        return found

    def keep(self, image: Digest, document: Mapping[str, Any]) -> bool:
        """Hold an image of the cache, whose config is *document*; false when it has gone."""
        digests = (image, *(Digest(text) for text in document["rootfs"].get("diff_ids") or ()))
        if not self._images.keep(image, digests):
            return False
        with self._lock:
            self._kept += digests
        return True

    def find(self, name: str) -> Image | None:
        """The image that is here under *name*, held from now on; `None` when there is none."""
        try:
            found = self._images.hold(name)
        except ImageNotFound:
            return None
        with self._lock:
            self._kept += (found.id, *found.diff_ids)
        return found

    def _pull(self, name: str, platform: Platform | None, step: int) -> None:
        reference = Reference.parse(name)
        self._images.pull(
            reference,
            platform=platform,
            auth=credentials(self._options.credentials, reference),
            progress=lambda progress: self._tell(Pulling(step=step, progress=progress)),
            cancel=self._cancel,
            reach=None if reference.domain in self._options.registries else self._reach,
        )
        self._pulled.add(name)


def credentials(known: Mapping[str, RegistryAuth], reference: Reference) -> RegistryAuth | None:
    """Those for the registry of *reference*, under any of the names that clients give it."""
    names = _HUB if reference.domain in _HUB else (reference.domain, f"https://{reference.domain}")
    return next((known[name] for name in names if name in known), None)


def _suits(image: Image, wanted: Platform) -> bool:
    return suits(image.platform, normalised(wanted))
