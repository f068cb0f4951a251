"""What a build is asked for (Docker Engine API, `ImageBuild`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.build.agent import Key
from engine.containers.options import HostConfig
from engine.registry.auth import RegistryAuth
from engine.registry.reference import Reference
from engine.types import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """One build, its context apart."""

    references: tuple[Reference, ...] = ()
    """The names that the image gets."""
    dockerfile: str = ""
    """Its path in the context; "" is `Dockerfile`."""
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    """Build arguments; `None` is one that the client has no value for."""
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    """The stage to build, by name or number; "" is the last one."""
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()
    """Images whose steps may be taken; with any, only these."""
    pull: bool = False
    """Whether to ask the registry for base images that are here."""
    platform: Platform | None = None
    network: str = "default"
    """What RUN uses: `default`, `none`, `host`, or a network."""
    host: HostConfig = field(default_factory=HostConfig)
    """Limits, hosts and shared memory of RUN."""
    credentials: Mapping[str, RegistryAuth] = field(default_factory=dict)
    """By the name of the registry."""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What `RUN --mount=type=secret` shows, by id; see `engine.build.secrets` for its limits."""
    keys: Mapping[str, Key] = field(default_factory=dict, repr=False)
    """What `RUN --mount=type=ssh` lets commands sign with, by id."""
    public_only: bool = False
    """Whether images, contexts and sources of ADD come from public addresses only (`engine.registry.reach`)."""
    registries: frozenset[str] = frozenset()
    """Registries (`host[:port]`) that may then be anywhere."""
