"""What a container's body mounts: `Binds`, `Mounts`, `Tmpfs` and `Volumes`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.api.fields import Fields
from engine.containers.options import Mount, MountKind, ReadOnly
from engine.errors import InvalidParameter, NotImplementedHere
from engine.volumes.model import VOLUME_NAME

_PROPAGATIONS: Final = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_WITHOUT_MEANING: Final = frozenset({"", "rw", "z", "Z", "cached", "delegated", "consistent"})
"""Words for SELinux and for macOS: dockerd on Linux without SELinux takes them and does nothing."""
_TMPFS_OPTION: Final = re.compile(
    r"|ro|rw|(no)?(exec|suid|dev|atime|diratime|relatime|strictatime)|a?sync|(no)?swap|defaults"
    r"|(r?(private|shared|slave)|r?unbindable)"
    r"|(size|nr_blocks|nr_inodes)=\d+[kmgtpe%]?|mode=[0-7]+|[ug]id=\d+|mpol=[a-z0-9:=,-]+",
    re.IGNORECASE | re.ASCII,
)
"""tmpfs(5)."""
_KINDS: Final = ("bind", "volume", "tmpfs")


def mounts(host: Fields) -> tuple[Mount, ...]:
    """`Binds`, such as `/host/path:/container/path:ro`, and the entries of `Mounts`, but for those that are tmpfs."""
    driver = host.text("VolumeDriver")
    found = [_bind(text, f"HostConfig.Binds[{number}]", driver) for number, text in enumerate(host.texts("Binds"))]
    for mount in host.objects("Mounts"):
        kind = mount.text("Type")
        if kind == "bind":
            found.append(_bind_mount(mount))
        elif kind == "volume":
            found.append(_volume_mount(mount))
        elif kind in ("image", "cluster", "npipe"):
            raise NotImplementedHere(f"{mount.path}.Type: mounts of type {kind} are not supported by this engine")
        elif kind != "tmpfs":
            raise mount.refused(
                "Type",
                f'invalid mount config for type "{kind[:40]}": mount type unknown, expected one of {", ".join(_KINDS)}',
            )
    return tuple(found)


def tmpfs(host: Fields) -> dict[str, str]:
    """`Tmpfs`, target to options, and the entries of `Mounts` whose type is tmpfs."""
    found = {}
    for target, words in host.text_map("Tmpfs").items():
        for word in words.split(","):
            if not _TMPFS_OPTION.fullmatch(word):
                raise InvalidParameter(f'HostConfig.Tmpfs.{target[:100]}: invalid tmpfs option "{word[:60]}"')
        found[_target(target, "HostConfig.Tmpfs")] = words
    for mount in host.objects("Mounts"):
        if mount.text("Type") != "tmpfs":
            continue
        if mount.text("Source"):
            raise mount.refused("Source", 'invalid mount config for type "tmpfs": field Source must not be specified')
        _refuse_options(mount, "BindOptions", "VolumeOptions")
        details = mount.section("TmpfsOptions")
        options = ["ro"] if mount.flag("ReadOnly") else []
        if size := details.integer("SizeBytes"):
            options.append(f"size={size}")
        if mode := details.integer("Mode"):
            options.append(f"mode={mode:o}")
        found[_mount_target(mount)] = ",".join(options)
    return found


def anonymous(config: Fields) -> tuple[str, ...]:
    """`Volumes` of the body: places for volumes of the container's own. The CLI puts whole binds here at times."""
    return tuple(_target(place, f"{config.path or 'Config'}.Volumes") for place in config.keys("Volumes"))


def _bind(text: str, where: str, driver: str) -> Mount:
    parts = text.split(":")
    where = f'{where}: invalid volume specification: "{text[:200]}"'
    kind = "bind" if len(parts) > 1 and text.startswith("/") else "volume"
    within = f'{where}: invalid mount config for type "{kind}"'
    if len(parts) == 1:
        return Mount(kind=MountKind.VOLUME, target=_target(text, within), driver=driver or "local")
    if len(parts) > 3:
        raise InvalidParameter(where)
    source, target, options = parts[0], _target(parts[1], within), parts[2] if len(parts) == 3 else ""
    words = set(options.split(","))
    propagations = words & _PROPAGATIONS
    if len(propagations) > 1 or {"ro", "rw"} <= words:
        raise InvalidParameter(f"{where}: invalid mode: {options[:60]}")
    if unknown := words - _PROPAGATIONS - _WITHOUT_MEANING - {"ro", "nocopy"}:
        raise InvalidParameter(f'{where}: invalid mode: {options[:60]}: unknown option "{min(unknown)[:40]}"')
    if source.startswith("/"):
        return Mount(
            source=source,
            target=target,
            read_only="ro" in words,
            propagation=propagations.pop() if propagations else "rprivate",
        )
    if not VOLUME_NAME.fullmatch(source):
        raise InvalidParameter(
            f'{where}: "{source[:80]}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    if propagations:
        raise InvalidParameter(f"{where}: invalid mode: {options[:60]}: propagation is for host paths, not for volumes")
    return Mount(
        kind=MountKind.VOLUME,
        source=source,
        target=target,
        read_only="ro" in words,
        copy_up="nocopy" not in words,
        driver=driver or "local",
    )


def _bind_mount(mount: Fields) -> Mount:
    _refuse_options(mount, "VolumeOptions", "TmpfsOptions")
    source = mount.text("Source")
    if not source:
        raise mount.refused("Source", 'invalid mount config for type "bind": field Source must not be empty')
    if not source.startswith("/"):
        raise mount.refused(
            "Source",
            f'invalid mount config for type "bind": invalid mount path: "{source[:200]}" mount path must be absolute',
        )
    details = mount.section("BindOptions")
    propagation = details.text("Propagation") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise details.refused(
            "Propagation", f'invalid mount config for type "bind": invalid propagation mode: {propagation[:40]}'
        )
    recursion = ReadOnly.BEST
    if details.flag("ReadOnlyNonRecursive"):
        recursion = ReadOnly.TOP
    if details.flag("ReadOnlyForceRecursive"):
        if recursion is ReadOnly.TOP:
            raise InvalidParameter(f"{details.path}: ReadOnlyForceRecursive excludes ReadOnlyNonRecursive")
        recursion = ReadOnly.FORCED
    return Mount(
        source=source,
        target=_mount_target(mount),
        read_only=mount.flag("ReadOnly"),
        recursion=recursion,
        propagation=propagation,
        recursive=not details.flag("NonRecursive"),
        # Unlike `Binds`, which makes a directory that is missing, a mount wants its source to be there.
        make_source=details.flag("CreateMountpoint"),
    )


def _volume_mount(mount: Fields) -> Mount:
    _refuse_options(mount, "BindOptions", "TmpfsOptions")
    source = mount.text("Source")
    if source and not VOLUME_NAME.fullmatch(source):
        raise mount.refused(
            "Source",
            f'invalid mount config for type "volume": "{source[:80]}" includes invalid characters for a local volume '
            'name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed',
        )
    details = mount.section("VolumeOptions")
    driver = details.section("DriverConfig")
    options: Mapping[str, str] = driver.text_map("Options")
    return Mount(
        kind=MountKind.VOLUME,
        source=source,
        target=_mount_target(mount),
        read_only=mount.flag("ReadOnly"),
        copy_up=not details.flag("NoCopy"),
        subpath=details.text("Subpath"),
        driver=driver.text("Name") or "local",
        driver_options=options,
        labels=details.text_map("Labels"),
    )


def _refuse_options(mount: Fields, *names: str) -> None:
    """Docker's rule: the options of another type are a mistake, not to be passed over."""
    mount.text("Consistency")  # for macOS, as in `Binds`
    for name in names:
        if mount.get(name) is not None:
            raise mount.refused(
                name, f'invalid mount config for type "{mount.text("Type")}": field {name} must not be specified'
            )


def _mount_target(mount: Fields) -> str:
    return _target(mount.text("Target"), f'{mount.path}.Target: invalid mount config for type "{mount.text("Type")}"')


def _target(target: str, where: str) -> str:
    if not target.startswith("/"):
        raise InvalidParameter(f'{where}: invalid mount path: "{target[:200]}" mount path must be absolute')
    if not target.strip("/"):
        raise InvalidParameter(f"{where}: invalid specification: destination can't be '/'")
    return target
