"""What a Dockerfile is checked for before it is built: the context's .dockerignore, the base images that are here."""

from __future__ import annotations

from collections.abc import Mapping

from engine.build.dockerfile.ignore import IgnoreMatcher, read_patterns
from engine.build.lint.linter import Surroundings
from engine.build.lint.model import BaseImage
from engine.errors import AmbiguousId, ImageNotFound, InvalidParameter
from engine.images.service import ImageService
from engine.registry.platforms import native_platform
from engine.types import Platform


def surroundings(
    images: ImageService,
    *,
    ignore: bytes = b"",
    arguments: Mapping[str, str | None] | None = None,
    platform: Platform | None = None,
    stages: frozenset[int] | None = None,
) -> Surroundings:
    """For a build with these options; `InvalidParameter` for patterns in *ignore* that are none.

    *stages* are those that are built, `None` for all.
    """
    patterns = read_patterns(ignore)

    def image(name: str) -> BaseImage | None:
        try:
            found = images.get(name)
        except (ImageNotFound, AmbiguousId, InvalidParameter):
            return None
        return BaseImage(environment=found.config.env, shell=found.config.shell, platform=found.platform)

    return Surroundings(
        ignore=IgnoreMatcher(patterns) if patterns else None,
        given={name: value for name, value in (arguments or {}).items() if value is not None},
        platform=platform or native_platform(),
        image=image,
        stages=stages,
    )
