"""The tip of a stage: what its steps have made so far, as a value. Each step makes a new one of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.containers.spec.document import DEFAULT_PATH
from engine.snapshots.adoption import AdoptedLayer
from engine.types import Digest, Platform

_OWN: Final = frozenset(
    {
        *("author", "comment", "config", "container", "container_config", "created"),
        *("docker_version", "history", "rootfs"),
    }
)
"""What of an image's document each image has for itself."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A tip whose layers have their names."""

    image: Digest | None
    """`None` for `scratch`."""
    layers: tuple[Digest, ...]
    size: int = 0
    """Bytes of the layer that the last step made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Layers that are in the store, on top of them those in the making, and a config."""

    key: str
    """Names how it came about, for the cache."""
    sealed: Future[Sealed]
    """Done when all its layers have been hashed and its image has a row."""
    layers: tuple[Digest, ...] = ()
    above: tuple[AdoptedLayer, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    author: str = ""
    common: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the image's document: platform and the like."""

    @classmethod
    def of_scratch(cls, platform: Platform) -> Tip:
        """Nothing at all."""
        common = {"os": platform.os, "architecture": platform.architecture}
        if platform.variant:
            common["variant"] = platform.variant
        return cls(key="scratch", sealed=done(Sealed(None, ())), config={"Env": [DEFAULT_PATH]}, common=common)

    @classmethod
    def of_image(cls, image: Digest, document: Mapping[str, Any], *, key: str = "") -> Tip:
        """An image that is here and held; *document* is its config, which has been parsed as an image's before."""
        config = document.get("config")
        layers = tuple(Digest(text) for text in document["rootfs"].get("diff_ids") or ())
        return cls(
            key=key or str(image),
            sealed=done(Sealed(image, layers)),
            layers=layers,
            config=config if isinstance(config, dict) else {},
            history=tuple(document.get("history") or ()),
            author=str(document.get("author") or ""),
            common={name: value for name, value in document.items() if name not in _OWN},
        )

    @property
    def links(self) -> Sequence[str]:
        """The short names of the layers in the making, lowest first."""
        return [layer.link for layer in self.above]

    @property
    def env(self) -> list[str]:
        return list(self.config.get("Env") or ())

    @property
    def shell(self) -> list[str]:
        return list(self.config.get("Shell") or ("/bin/sh", "-c"))

    @property
    def user(self) -> str:
        return str(self.config.get("User") or "")

    @property
    def working_dir(self) -> str:
        return str(self.config.get("WorkingDir") or "")

    def configured(self, changes: Mapping[str, Any]) -> Tip:
        """The same with *changes* of its config."""
        return replace(self, config={**self.config, **changes})

    def document(self, layers: Sequence[Digest], *, created: str) -> dict[str, Any]:
        """The image's config document, on *layers*."""
        return {
            **self.common,
            "created": created,
            **({"author": self.author} if self.author else {}),
            "config": dict(self.config),
            "history": list(self.history),
            "rootfs": {"type": "layers", "diff_ids": [str(each) for each in layers]},
        }


def done(sealed: Sealed) -> Future[Sealed]:
    future: Future[Sealed] = Future()
    future.set_result(sealed)
    return future
