"""What a container's body mounts: `Binds`, `Mounts`, `Tmpfs` and `Volumes`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.api.fields import Fields
from engine.containers.model import Bind
from engine.errors import InvalidParameter, NotImplementedHere

_PROPAGATIONS: Final = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_WITHOUT_MEANING: Final = frozenset({"", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"})
"""Words for SELinux, for volumes and for macOS: dockerd on Linux without SELinux takes them and does nothing."""


def binds(host: Fields) -> tuple[Bind, ...]:
    """`Binds`, such as `/host/path:/container/path:ro`, and the entries of `Mounts` whose type is bind."""
    found = [_bind(text, f"HostConfig.Binds[{number}]") for number, text in enumerate(host.texts("Binds"))]
    for mount in host.objects("Mounts"):
        kind = mount.text("Type")
        if kind == "bind":
            found.append(_bind_mount(mount))
        elif kind == "volume":
            raise NotImplementedHere(f"{mount.path}: volumes are not supported by this engine yet: bind a host path")
        elif kind != "tmpfs":
            raise InvalidParameter(f'{mount.path}.Type: mount type unknown: "{kind[:40]}", expected bind or tmpfs')
    return tuple(found)


def tmpfs(host: Fields) -> dict[str, str]:
    """`Tmpfs`, target to options, and the entries of `Mounts` whose type is tmpfs."""
    found = {_target(target, "HostConfig.Tmpfs"): options for target, options in host.text_map("Tmpfs").items()}
    for mount in host.objects("Mounts"):
        if mount.text("Type") != "tmpfs":
            continue
        if mount.text("Source"):
            raise InvalidParameter('invalid mount config for type "tmpfs": field Source must not be specified')
        details = mount.section("TmpfsOptions")
        options = ["ro"] if mount.flag("ReadOnly") else []
        if size := details.integer("SizeBytes"):
            options.append(f"size={size}")
        if mode := details.integer("Mode"):
            options.append(f"mode={mode:o}")
        found[_target(mount.text("Target"), "tmpfs")] = ",".join(options)
    return found


def refuse_volumes(config: Fields) -> None:
    """`Volumes` of the body asks for anonymous volumes."""
    if targets := config.keys("Volumes"):
        raise NotImplementedHere(
            f"Volumes: anonymous volumes ({', '.join(targets)[:200]}) are not supported by this engine yet: "
            "bind a host path"
        )


def _bind(text: str, where: str) -> Bind:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        if len(parts) == 1 and text.startswith("/"):
            raise NotImplementedHere(f"{where}: anonymous volumes are not supported by this engine yet: {text[:200]!r}")
        raise InvalidParameter(f'invalid volume specification: "{text[:200]}"')
    source, target, options = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    if not source.startswith("/"):
        if not source or "/" in source:
            raise InvalidParameter(f'invalid volume specification: "{text[:200]}": the host path must be absolute')
        raise NotImplementedHere(
            f"{where}: volumes ({source[:100]!r}) are not supported by this engine yet: give an absolute host path"
        )
    read_only, propagation = False, "rprivate"
    for option in options.split(","):
        if option == "ro":
            read_only = True
        elif option in _PROPAGATIONS:
            propagation = option
        elif option not in _WITHOUT_MEANING:
            raise InvalidParameter(f'invalid mode: {options[:60]}: unknown option "{option[:40]}"')
    return Bind(source=source, target=_target(target, where), read_only=read_only, propagation=propagation)


def _bind_mount(mount: Fields) -> Bind:
    source = mount.text("Source")
    if not source.startswith("/"):
        raise InvalidParameter(
            f'invalid mount config for type "bind": invalid mount path: "{source[:200]}" must be absolute'
        )
    details = mount.section("BindOptions")
    propagation = details.text("Propagation") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise InvalidParameter(f"{details.path}.Propagation: invalid propagation mode: {propagation[:40]}")
    # Unlike `Binds`, which makes a directory that is missing, a mount wants its source to be there.
    if not details.flag("CreateMountpoint") and not Path(source).exists():
        raise InvalidParameter(f'invalid mount config for type "bind": bind source path does not exist: {source[:300]}')
    return Bind(
        source=source,
        target=_target(mount.text("Target"), "bind"),
        read_only=mount.flag("ReadOnly"),
        propagation=propagation,
    )


def _target(target: str, where: str) -> str:
    if not target.startswith("/"):
        raise InvalidParameter(
            f'invalid mount config for type "{where}": invalid mount path: "{target[:200]}" mount path must be absolute'
        )
    return target
