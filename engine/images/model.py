"""What an image is (OCI image-spec, config.md) and what a pull tells while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.registry.reference import Reference
from engine.types import Digest, Platform

ConfigChange = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Makes another config of the one in an image's JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How to tell whether a container is well. Durations are nanoseconds; 0 takes Docker's default."""

    test: tuple[str, ...] = ()
    """`()` inherits the image's, `("NONE",)` asks for none, `("CMD", …)` is a command, `("CMD-SHELL", text)` a line."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @property
    def wanted(self) -> bool:
        return bool(self.test) and self.test != ("NONE",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """Defaults that a container takes from its image (config.md, "config").

    `None` for `entrypoint` and `cmd` means that the image has none, which is not the same as an empty list.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    """`80/tcp` and the like."""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    health: HealthCheck = HealthCheck()
    shell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of an image's history (config.md, "history")."""

    created: int | None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the store. Its id is the digest of its config, as in Docker."""

    id: Digest
    platform: Platform
    config: ImageConfig
    created: int | None
    size: int
    """Bytes of all its unpacked layers, each counted once."""
    diff_ids: tuple[Digest, ...]
    """Lowest layer first."""
    history: tuple[HistoryEntry, ...] = ()
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    tags: tuple[str, ...] = ()
    """Familiar names with a tag: `debian:latest`, `127.0.0.1:5000/x:1`."""
    digests: tuple[str, ...] = ()
    """Familiar names with the manifest's digest: `debian@sha256:…`."""
    parent: Digest | None = None
    """The image that it was built on, where that was built here too."""
    tagged: int | None = None
    """When it was last given a name here, ns since the epoch; `None` where its names came with it."""


class LayerPhase(StrEnum):
    """How far a layer is; the values are the words that Docker's clients show."""

    WAITING = "Pulling fs layer"
    DOWNLOADING = "Downloading"
    VERIFYING = "Verifying Checksum"
    DOWNLOADED = "Download complete"
    EXTRACTING = "Extracting"
    COMPLETE = "Pull complete"
    EXISTS = "Already exists"


class PushPhase(StrEnum):
    """How far a layer is on its way to a registry, in Docker's words."""

    PREPARING = "Preparing"
    WAITING = "Waiting"
    PUSHING = "Pushing"
    PUSHED = "Pushed"
    EXISTS = "Layer already exists"
    MOUNTED = "Mounted from"


class LoadPhase(StrEnum):
    """What is said of an archive's layer that was not here yet, and of a file system that is imported."""

    LOADING = "Loading layer"
    IMPORTING = "Importing"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProgress:
    """One layer's progress; `current` and `total` are bytes, of the compressed blob while downloading."""

    layer: str
    """The first 12 digits of its compressed digest in a pull, of its diffID elsewhere."""
    phase: LayerPhase | PushPhase | LoadPhase
    current: int = 0
    total: int = 0
    detail: str = ""
    """What completes the words: the repository that a layer was mounted from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A line about the whole; `id` is the tag in a pull's first one (`Pulling from library/debian`), else empty."""

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An image that an archive has brought; `name` is empty where it gave it none."""

    image: Digest
    name: str = ""
    instead_of: Digest | None = None
    """The image that had this name until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A tag that is now in its registry: the manifest's digest, and its size in bytes."""

    tag: str
    digest: Digest
    size: int


Told = LayerProgress | Message | Loaded | Pushed
Progress = Callable[[Told], None]
"""Called from several threads, never by two at once: a `ProgressBoard` serialises the calls. It must return quickly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """What the pull of a tag or digest did."""

    reference: Reference
    image: Digest
    manifest: Digest
    newer: bool
    """False when the reference already named this image ("Image is up to date")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedImage:
    """One line of what an image's removal did: exactly one of the two is set."""

    untagged: str = ""
    deleted: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedImages:
    """What a prune took away, and the bytes that it freed: of layers, and of their compressed copies."""

    lines: tuple[RemovedImage, ...]
    reclaimed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUse:
    """A container that was made from an image."""

    id: str
    running: bool
    """Also when it is paused or restarting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A line of `docker history`; `id` is set where the step's result is an image that is here."""

    id: Digest | None
    created: int | None
    created_by: str
    tags: tuple[str, ...]
    size: int
    """Bytes of the layer that this step made; 0 for one that made none."""
    comment: str
