"""Images, as the API tells them."""

from __future__ import annotations

from typing import Any

from engine.api import create_config, words
from engine.api.version import ApiVersion
from engine.images.model import (
    HistoryLine,
    Image,
    LayerPhase,
    Loaded,
    LoadPhase,
    Message,
    Pushed,
    PushPhase,
    RemovedImage,
    Told,
)
from engine.images.usage import StoreUsage
from engine.types import SECOND, rfc3339

_WITHOUT_NONES: ApiVersion = (1, 43)
_WITH_BAR = (LayerPhase.DOWNLOADING, LayerPhase.EXTRACTING, PushPhase.PUSHING, LoadPhase.LOADING, LoadPhase.IMPORTING)


def summary(image: Image, *, version: ApiVersion, containers: int = -1, shared: int = -1) -> dict[str, Any]:
    """A row of `GET /images/json`; *containers* and *shared* (bytes) are -1 where nobody counted."""
    tags, digests = list(image.tags), list(image.digests)
    if version < _WITHOUT_NONES and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    return {
        "Containers": containers,
        "Created": (image.created or 0) // SECOND,
        "Id": image.id,
        "Labels": dict(image.config.labels) or None,
        "ParentId": image.parent or "",
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": shared,
        "Size": image.size,
        "VirtualSize": image.size,
    }


def store_usage(usage: StoreUsage) -> dict[str, Any]:
    """The answer of `GET /havre/v1/images/usage`; all sizes are bytes."""
    return {
        "Layers": usage.layers,
        "Compressed": usage.compressed,
        "Reclaimable": usage.reclaimable,
        "Images": [
            {
                "Id": each.image.id,
                "RepoTags": list(each.image.tags),
                "Size": each.image.size,
                "Shared": each.shared,
                "Unique": each.unique,
                "Compressed": each.compressed,
                "Containers": each.containers,
            }
            for each in usage.images
        ],
    }


def inspect(image: Image, *, raw_config: dict[str, Any], layers_directory: str) -> dict[str, Any]:
    """The answer of `GET /images/{name}/json`; *raw_config* is the image's own config document."""
    lower = [f"{layers_directory}/{diff_id.hex}/diff" for diff_id in reversed(image.diff_ids)]
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent or "",
        "Comment": image.comment,
        "Created": rfc3339(image.created),
        "Container": raw_config.get("container") or "",
        "ContainerConfig": _whole(raw_config.get("container_config")),
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Config": _whole(raw_config.get("config")),
        "Architecture": image.platform.architecture,
        **({"Variant": image.platform.variant} if image.platform.variant else {}),
        "Os": image.platform.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {"UpperDir": lower[0] if lower else ""}
            | ({"LowerDir": ":".join(lower[1:])} if len(lower) > 1 else {}),
        },
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339(image.tagged)},
    }


def _whole(config: object) -> dict[str, Any]:
    """A config with the fields that Docker always has."""
    return create_config.DEFAULTS | {"Labels": None} | (config if isinstance(config, dict) else {})


def history_line(line: HistoryLine) -> dict[str, Any]:
    return {
        "Comment": line.comment,
        "Created": (line.created or 0) // SECOND,
        "CreatedBy": line.created_by,
        "Id": line.id or "<missing>",
        "Size": line.size,
        "Tags": list(line.tags) or None,
    }


def removed(line: RemovedImage) -> dict[str, str]:
    return {"Untagged": line.untagged} if line.untagged else {"Deleted": str(line.deleted)}


def progress_line(progress: Told) -> dict[str, Any]:
    """A line of the answer to a pull, push or load."""
    if isinstance(progress, Message):
        return {"status": progress.text} | ({"id": progress.id} if progress.id else {})
    if isinstance(progress, Loaded):
        return {"stream": _loaded(progress)}
    if isinstance(progress, Pushed):
        return {
            "progressDetail": {},
            "aux": {"Tag": progress.tag, "Digest": str(progress.digest), "Size": progress.size},
        }
    status = f"{progress.phase} {progress.detail}" if progress.detail else str(progress.phase)
    line: dict[str, Any] = {"status": status, "progressDetail": {}} | ({"id": progress.layer} if progress.layer else {})
    if progress.phase in _WITH_BAR:
        line["progressDetail"] = {"current": progress.current, "total": progress.total}
        line["progress"] = words.progress_bar(progress.current, progress.total)
    return line


def _loaded(loaded: Loaded) -> str:
    text = f"Loaded image: {loaded.name}\n" if loaded.name else f"Loaded image ID: {loaded.image}\n"
    if loaded.instead_of is None:
        return text
    return (
        f"The image {loaded.name} already exists, renaming the old one with ID {loaded.instead_of} to empty string\n"
        + text
    )
