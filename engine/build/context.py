"""Build contexts: the files that a Dockerfile may copy from, unpacked by the confined helper.

Everything in a context belongs to root, as what COPY makes of it does; nothing in it is ever followed by its path as
text, only by `openat2` inside it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.build import downloads, git, plain
from engine.build.archives import SNIFFED, is_archive, unpacked
from engine.build.dockerfile.ignore import ignore_files
from engine.build.means import Means
from engine.errors import EngineError, InvalidParameter
from engine.images.decompress import Source
from engine.kernel import paths
from engine.snapshots.helper import UnpackHelper, UnpackLimits

ContextSource = Callable[[Means, str], "Context"]
"""Brings a context by these means, with the Dockerfile of that path."""

DOCKERFILE_LIMIT: Final = 1024**2
"""Bytes of a Dockerfile, and of a .dockerignore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A context's files, with the Dockerfile that they are built by."""

    root: Path
    dockerfile: bytes
    name: str
    """The Dockerfile's place in the context."""
    ignore: bytes
    """The .dockerignore that holds for it, empty where there is none."""
    size: int = 0
    """Bytes of the files, as they were sent."""


def unpack(source: Source, directory: Path, *, limits: UnpackLimits, what: str = "the build context") -> int:
    """Unpack the archive *source*, compressed or not, into *directory*; bytes of its files.

    `InvalidParameter` for an archive that is broken, hostile or larger than *limits*.
    """
    chunks = unpacked(source, what=what)
    beginning: list[bytes] = []
    size = 0
    for chunk in chunks:
        beginning.append(chunk)
        size += len(chunk)
        if size > plain.LARGEST:
            break
    else:
        written = plain.unpack(b"".join(beginning), directory, limits=limits)
        if written is not None:
            return written
    return write_archive(itertools.chain(beginning, chunks), directory, limits=limits, what=what)


def write_archive(chunks: Iterable[bytes], directory: Path, *, limits: UnpackLimits, what: str) -> int:
    """As `unpack`, of a tar that is not compressed."""
    helper = UnpackHelper(
        *("tree", str(directory), str(limits.entries), str(limits.bytes), "-", "/", "0:0", "0"), what=what
    )
    try:
        for chunk in chunks:
            helper.write(chunk)
        return helper.finish().bytes
    finally:
        helper.close()


def opened(root: Path, *, dockerfile: str = "", text: bytes | None = None, size: int = 0) -> Context:
    """The context in *root*. *dockerfile* is its path there; *text* is used instead of it, where it is not in there.

    `InvalidParameter` in Docker's words when there is none.
    """
    name = dockerfile or "Dockerfile"
    with paths.opened_root(root) as descriptor:
        if text is None:
            found = _read(descriptor, name)
            if found is None and not dockerfile:
                name = "dockerfile"
                found = _read(descriptor, name)
            if found is None:
                raise InvalidParameter(f"Cannot locate specified Dockerfile: {dockerfile or 'Dockerfile'}")
            text = found
        ignore = next((data for file in ignore_files(name) if (data := _read(descriptor, file)) is not None), b"")
    if not text.strip():
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    return Context(root=root, dockerfile=text, name=name, ignore=ignore, size=size)


def _read(root: int, name: str) -> bytes | None:
    """A regular file of the context, `None` where there is none of that name."""
    if not name or "\0" in name:
        return None
    try:
        found = paths.open_in_root(root, name, os.O_PATH)
    except OSError:
        return None
    os.close(found)
    data = paths.read_in_root(root, name, limit=DOCKERFILE_LIMIT + 1)
    if len(data) > DOCKERFILE_LIMIT:
        raise InvalidParameter(f"{name[:200]} has more than {DOCKERFILE_LIMIT} bytes")
    return data


def from_archive(source: Source) -> ContextSource:
    """A context that is sent as an archive."""

    def bring(means: Means, dockerfile: str) -> Context:
        root = means.scratch.directory("context")
        size = unpack(_Checked(source, means.check), root, limits=means.limits)
        return opened(root, dockerfile=dockerfile, size=size)

    return bring


def from_address(address: str) -> ContextSource:
    """A context from elsewhere: a git repository, an archive on the web, or a Dockerfile alone."""

    def bring(means: Means, dockerfile: str) -> Context:
        root = means.scratch.directory("context")
        if git.is_git(address):
            checkout = git.Checkout(git.parse(address), means)
            size = write_archive(checkout.archive(), root, limits=means.limits, what="the repository")
            return opened(root, dockerfile=dockerfile, size=size)
        place = means.scratch.directory("download") / "file"
        try:
            downloads.fetch(address, place, limit=means.limits.bytes, check=means.check, reach=means.reach)
        except EngineError as error:
            raise type(error)(f"failed to download remote: {error}") from error
        with place.open("rb", buffering=0) as file:
            start = file.read(SNIFFED)
            file.seek(0)
            if is_archive(start):
                return opened(root, dockerfile=dockerfile, size=unpack(file, root, limits=means.limits))
        if len(start) > DOCKERFILE_LIMIT - 1:
            raise InvalidParameter(f"remote: {address[:200]} is neither an archive nor a Dockerfile")
        return opened(root, text=start, size=len(start))

    return bring


class _Checked:
    """A source that is asked for more only while the build goes on."""

    def __init__(self, source: Source, check: Callable[[], None]) -> None:
        self._source = source
        self._check = check

    def read(self, size: int = -1, /) -> bytes:
        self._check()
        return self._source.read(size)
