"""Secrets of a build: what RUN sees of them by `--mount=type=secret` (Docker's reference, "RUN --mount=type=secret").

They came with the request, and are in memory alone: no image, layer, history, cache entry or log has them. While a step
runs that uses one, their files and the environment of its command lie in its bundle, and some runtimes copy that: both
are below the run directory, which must be a tmpfs.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.build.dockerfile.mounts import RunMount
from engine.containers.spec.mounts import ReadyMount
from engine.errors import Forbidden, InvalidParameter
from engine.kernel import mounts

MOST: Final = 32
"""Secrets of one build."""
LARGEST: Final = 48 * 1024
"""Bytes of all of them: what fits a header in base64."""
HEADER: Final = "X-Havre-Secrets"
_MODE: Final = 0o400
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_OPTIONS: Final = ("bind", "ro", "nosuid", "nodev", "noexec")


class SecretMounts:
    """The secrets of one step."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = secrets
        self.env: dict[str, str] = {}
        """What the command has in its environment."""
        self._count = 0

    def has(self, mount: RunMount) -> bool:
        """Whether the secret of *mount* was given; `InvalidParameter` when it was not and must be."""
        if identity(mount) in self._secrets:
            return True
        if mount.required:
            name = identity(mount)[:100]
            raise InvalidParameter(
                f"RUN --mount=type=secret: the secret {name} was not given. The build page has a field for it; the "
                f"docker CLI brings it in a header, {HEADER}: {name}=BASE64 (HttpHeaders in its config.json), as its "
                "option --secret needs sessions of BuildKit, which this engine does not have"
            )
        return False

    def take(self, mount: RunMount, bundle: Path) -> ReadyMount | None:
        """The file that *mount* shows, made in *bundle*; `None` where it is for the environment alone.

        `Forbidden` when *bundle* is not in memory.
        """
        if (kind := mounts.kind_at(bundle)) not in _IN_MEMORY:
            raise Forbidden(
                "RUN --mount=type=secret: secrets are kept in memory alone, and the engine's run directory is on "
                f"{kind}: let HAVRE_RUN be a tmpfs, as /run is"
            )
        value = self._secrets[identity(mount)]
        self._count += 1
        if mount.env is not None:
            self.env[mount.env] = _text(value, mount)
            if not mount.target:
                return None
        place = bundle / f"secret-{self._count}"
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, mount.uid or 0, mount.gid or 0)
            os.fchmod(descriptor, _MODE if mount.mode is None else mount.mode)
            file.write(value)
        return ReadyMount(source=place, target=mount.target or f"/run/secrets/{_name(mount)}", options=_OPTIONS)


def identity(mount: RunMount) -> str:
    """The id that *mount* names a secret by: its own, or the last part of its target."""
    return mount.id or mount.source or posixpath.basename(mount.target)


def _name(mount: RunMount) -> str:
    return posixpath.basename(identity(mount))


def _text(value: bytes, mount: RunMount) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidParameter(
            f"RUN --mount=type=secret: the secret {identity(mount)[:100]} is no text, and a variable can hold nothing "
            "else: use target instead of env"
        )
    return text
