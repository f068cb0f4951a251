"""COPY and ADD: what they take, what of it the cache must know, and how it gets where it belongs."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from engine.build.archives import SNIFFED, is_archive, unpacked
from engine.build.chmod import parse as parse_mode
from engine.build.dockerfile.model import Add, Copy, Transfer
from engine.build.placing import Manner, Placer
from engine.build.trees import Excluded, Found, Missing, Tree
from engine.containers.spec import users
from engine.errors import InvalidParameter
from engine.kernel import paths
from engine.snapshots.helper import UnpackHelper, UnpackLimits
from engine.types import Digest

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One thing that arrives."""

    tree: Tree
    found: Found
    unpack: bool = False
    """Whether it is an archive whose content arrives instead of it."""
    parents: str = ""
    """Directories above it that come along (`--parents`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """Everything that one COPY or ADD brings."""

    given: Transfer
    loads: tuple[Load, ...]
    digest: str
    files: dict[str, str]
    """Digests by path."""
    keep_owners: bool
    excluded: Excluded | None

    @property
    def label(self) -> str:
        """The words of the history: `COPY file:… in /place `."""
        kind = "multi" if len(self.loads) > 1 else "dir" if self.loads[0].found.directory else "file"
        chown = f"--chown={self.given.chown} " if self.given.chown else ""
        return f"{self.given.name} {chown}{kind}:{self.digest} in {self.given.destination} "


def from_tree(given: Transfer, tree: Tree, sources: Iterable[str], *, outside: bool) -> Iterator[Load]:
    """What *sources* mean in *tree*; *outside* says that it is no context but a stage or an image.

    `InvalidParameter` in Docker's words for what is not there, or lies above the context.
    """
    for source in sources:
        if not outside and posixpath.normpath(source.lstrip("/")).split("/")[0] == "..":
            raise InvalidParameter(f"{given.name} failed: forbidden path outside the build context: {source} ()")
        pivot, parents = "", isinstance(given, Copy) and given.parents
        try:
            found = tree.find(source)
        except Missing:
            where = "" if outside else "file not found in build context or excluded by .dockerignore: "
            raise InvalidParameter(f"{given.name} failed: {where}stat {source}: file does not exist") from None
        if not found:
            raise InvalidParameter(f"{given.name} failed: no source files were specified: nothing matches {source}")
        if parents and "/./" in source:
            pivot = posixpath.normpath("/" + source.split("/./")[0]).lstrip("/")
        for each in found:
            above = posixpath.dirname(each.asked) if parents and not each.directory else each.asked if parents else ""
            unpack = (
                isinstance(given, Add)
                and not each.directory
                and given.unpack is not False
                and _begins_an_archive(tree, each)
            )
            yield Load(
                tree=tree,
                found=each,
                unpack=unpack,
                parents=posixpath.relpath(above, pivot) if above and pivot else above,
            )


def cargo(
    given: Transfer, loads: Sequence[Load], *, keep_owners: bool, excluded: Excluded | None, check: Callable[[], None]
) -> Cargo:
    """The *loads* of *given*, hashed. `InvalidParameter` when they do not fit its destination."""
    single = len(loads) == 1 and len(given.sources) + len(given.contents) == 1
    if not single and not given.destination.endswith(("/", "/.")) and given.destination not in (".", ".."):
        raise InvalidParameter(
            f"When using {given.name} with more than one source file, the destination must be a directory and end "
            "with a /"
        )
    files: dict[str, str] = {}
    digests = []
    for load in loads:
        summary = load.tree.summary(load.found, owners=keep_owners, excluded=excluded, check=check)
        top = load.found.asked if load.found.directory else posixpath.dirname(load.found.asked)
        files |= {posixpath.join(top, path): digest for path, digest in summary.files.items()}
        name = "" if load.found.directory else load.found.name
        digests.append(f"{summary.digest} {load.unpack:d} {load.parents} {name}")
    whole = Digest.of("\n".join(digests).encode("utf-8", "surrogateescape")).hex
    return Cargo(given=given, loads=tuple(loads), digest=whole, files=files, keep_owners=keep_owners, excluded=excluded)


def unload(
    shipment: Cargo, *, rootfs: Path, working_dir: str, limits: UnpackLimits, names: int, check: Callable[[], None]
) -> None:
    """Write *shipment* into the tree mounted at *rootfs*.

    *names* is the root in which names of users and groups are looked up.
    """
    given = shipment.given
    owner = None if shipment.keep_owners else (0, 0)
    if given.chown:
        owner = owner_of(names, given.chown)
    manner = Manner(
        owner=owner,
        change=parse_mode(given.chmod) if given.chmod else None,
        excluded=shipment.excluded,
        check=check,
    )
    place = posixpath.normpath(posixpath.join("/", working_dir, given.destination)).replace("//", "/")
    with paths.opened_root(rootfs) as root:
        placer = Placer(root, manner)
        into = (
            given.destination.endswith(("/", "/."))
            or given.destination in (".", "..")
            or len(shipment.loads) > 1
            or placer.is_directory(place)
        )
        for load in shipment.loads:
            check()
            target = posixpath.join(place, load.parents) if load.parents else place
            if load.unpack:
                os.close(placer.make_directory(target))
                _unpack(load, rootfs=rootfs, place=target, owner=owner if given.chown else None, limits=limits)
            elif load.found.directory:
                placer.put(load.tree, load.found, target)
            else:
                directory = into or bool(load.parents)
                placer.put(load.tree, load.found, posixpath.join(target, load.found.name) if directory else target)


def owner_of(root: int, chown: str) -> tuple[int, int]:
    """The numbers that `--chown` means in the tree of *root*; `InvalidParameter` in Docker's words."""
    user, _, group = chown.partition(":")
    try:
        if user.isascii() and user.isdecimal() and not group:
            return users.resolve(root, f"{user}:{user}").uid, int(user)
        identity = users.resolve(root, chown if group else user)
    except InvalidParameter as error:
        raise InvalidParameter(
            f"unable to convert uid/gid chown string to host mapping: {error}; the image has no such entry for "
            f"--chown={chown[:100]}"
        ) from error
    return identity.uid, identity.gid


def literal(tree: Tree, names: Iterable[str]) -> Iterator[Load]:
    """Files of a directory that the builder has made itself, taken as they are."""
    for name in names:
        yield Load(tree=tree, found=Found(path=name, asked=name, directory=False))


def renamed(load: Load, name: str) -> Load:
    return replace(load, found=replace(load.found, asked=name))


def _begins_an_archive(tree: Tree, found: Found) -> bool:
    with tree.entry(found) as entry:
        if not stat.S_ISREG(entry.status.st_mode):
            return False
        descriptor = os.open(entry.name, _FILE, dir_fd=entry.parent)
    try:
        return is_archive(os.read(descriptor, SNIFFED))
    finally:
        os.close(descriptor)


def _unpack(load: Load, *, rootfs: Path, place: str, owner: tuple[int, int] | None, limits: UnpackLimits) -> None:
    """Unpack an archive by the confined helper, whose root is the tree."""
    what = f"the archive {load.found.asked}"
    told = "-" if owner is None else f"{owner[0]}:{owner[1]}"
    with load.tree.entry(load.found) as entry:
        descriptor = os.open(entry.name, _FILE, dir_fd=entry.parent)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        helper = UnpackHelper(
            *("tree", place, str(limits.entries), str(limits.bytes), "-", str(rootfs), told, "0"), what=what
        )
        try:
            for chunk in unpacked(file, what=what):
                helper.write(chunk)
            helper.finish()
        finally:
            helper.close()
