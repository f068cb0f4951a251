"""The files of a container: what the pages read of them, and uploads."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts.policy import Action
from webui.containers.reach import container_reached
from webui.gateway import container_files

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

MOST_ENTRIES: Final = 2000
"""Entries that the page shows of a directory."""

LARGEST_VIEW: Final = 256 * 1024
"""Bytes of a text that the page shows."""

_PATIENCE: Final = 120.0


class UploadRefused(Exception):
    """What came is too much, or has a name that no file can have."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A line of the page: an entry, or one of the image that the container has deleted."""

    entry: gateway.DirectoryEntry
    path: str
    change: str
    """added, modified, deleted, or nothing."""

    @property
    def directory(self) -> bool:
        return "directory" in (self.entry.kind, self.entry.leads_to)

    @property
    def file(self) -> bool:
        return "file" in (self.entry.kind, self.entry.leads_to)

    @property
    def permissions(self) -> str:
        """As ls(1) writes them, without the kind."""
        return "".join(
            letter if self.entry.mode >> shift & 1 else "-"
            for letter, shift in zip("rwxrwxrwx", range(8, -1, -1), strict=True)
        )


@dataclass(frozen=True, slots=True)
class FolderPage:
    """A directory as the page shows it."""

    path: str
    rows: tuple[FileRow, ...]
    truncated: bool

    @property
    def parents(self) -> list[tuple[str, str]]:
        """The way down to the directory: a name and a path for each step."""
        parts = [part for part in self.path.split("/") if part]
        return [(part, "/" + "/".join(parts[: number + 1])) for number, part in enumerate(parts)]


def folder(*, environment: Environment, user: User, container: str, path: str) -> FolderPage:
    """What is in a directory of the container, directories first, with what has changed since its image."""
    found = container_reached(environment=environment, user=user, action=Action.CONTAINER_FILES, container=container)
    with gateway.client(environment) as client:
        directory = client.directory(found.id, path, limit=MOST_ENTRIES)
        changes = {change.path: change.kind for change in client.changes(found.id)}
    rows = [_row(directory.path, entry, changes) for entry in directory.entries]
    rows += _deleted(directory.path, {row.path for row in rows}, changes)
    rows.sort(key=lambda row: (not row.directory, row.entry.name.casefold()))
    return FolderPage(path=directory.path, rows=tuple(rows), truncated=directory.truncated)


@dataclass(frozen=True, slots=True)
class FileView:
    """The beginning of a file: `text` is `None` for what is no text."""

    path: str
    size: int
    text: str | None

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def whole(self) -> bool:
        return self.size <= LARGEST_VIEW


def file_view(*, environment: Environment, user: User, container: str, path: str) -> FileView:
    """The text at *path*; what is after `LARGEST_VIEW` bytes is not told."""
    found = container_reached(environment=environment, user=user, action=Action.CONTAINER_FILES, container=container)
    with gateway.client(environment) as client:
        place, stat = _resolved(client, found.id, path)
        if stat.kind != "file":
            raise gateway.InvalidRequest(_("%(path)s is no file.") % {"path": path}, status=400)
        content = client.read_file(found.id, place, limit=LARGEST_VIEW)
    # Of a cut text, the last character may be half there.
    text = content.decode("utf-8", "replace" if len(content) == LARGEST_VIEW else "surrogateescape")
    binary = b"\0" in content or any(0xDC80 <= ord(character) <= 0xDCFF for character in text)
    return FileView(path=path, size=max(stat.size, len(content)), text=None if binary else text)


def file_download(
    *, environment: Environment, user: User, container: str, path: str
) -> tuple[str, AsyncIterator[bytes]]:
    """A name and the content in pieces: of a file itself, of a directory as a tar."""
    found = container_reached(environment=environment, user=user, action=Action.CONTAINER_FILES, container=container)
    with gateway.client(environment) as client:
        place, stat = _resolved(client, found.id, path)
    name = posixpath.basename(path.rstrip("/")) or found.name
    if stat.kind == "file":
        return name, _content(environment, found.id, place)
    return f"{name}.tar", _archive(environment, found.id, place)


def files_upload(
    *, environment: Environment, user: User, container: str, path: str, files: Sequence[UploadedFile[Any]], limit: int
) -> int:
    """Put *files* into the directory *path* and answer how many there are; at most *limit* bytes together."""
    found = container_reached(environment=environment, user=user, action=Action.CONTAINER_UPLOAD, container=container)
    if sum(file.size or 0 for file in files) > limit:
        raise UploadRefused(_("That is more than can be uploaded at once: use docker cp."))
    names = [posixpath.basename(str(file.name or "").replace("\\", "/")) for file in files]
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise UploadRefused(_("A file has no name."))
    parts = [(name, file.size or 0, _pieces(file)) for name, file in zip(names, files, strict=True)]
    with gateway.client(environment, timeout=_PATIENCE) as client:
        tar = container_files.archive_of(parts, modified=int(timezone.now().timestamp()))
        client.put_archive(found.id, path, tar)
    return len(parts)


def container_export(*, environment: Environment, user: User, container: str) -> tuple[str, AsyncIterator[bytes]]:
    """A name and the container's files as a tar, in pieces; what is mounted in it is not among them."""
    found = container_reached(environment=environment, user=user, action=Action.CONTAINER_EXPORT, container=container)
    return f"{found.name}.tar", _exported(environment, found.id)


def _pieces(file: UploadedFile[Any]) -> Iterator[bytes]:
    yield from file.chunks()


def _resolved(client: gateway.Client, container: str, path: str) -> tuple[str, gateway.PathStat]:
    """*path* and what is there; where that is a link, the place that it leads to."""
    stat = client.path_stat(container, path)
    if stat.kind == "link" and stat.link_target:
        return stat.link_target, client.path_stat(container, stat.link_target)
    return path, stat


async def _content(environment: Environment, container: str, path: str) -> AsyncIterator[bytes]:
    async with gateway.async_client(environment) as client, aclosing(client.archive(container, path)) as archive:
        async with aclosing(container_files.file_of(archive)) as content:
            async for data in content:
                yield data


async def _archive(environment: Environment, container: str, path: str) -> AsyncIterator[bytes]:
    async with gateway.async_client(environment) as client, aclosing(client.archive(container, path)) as archive:
        async for data in archive:
            yield data


async def _exported(environment: Environment, container: str) -> AsyncIterator[bytes]:
    async with gateway.async_client(environment) as client, aclosing(client.export(container)) as archive:
        async for data in archive:
            yield data


def _row(directory: str, entry: gateway.DirectoryEntry, changes: dict[str, str]) -> FileRow:
    path = posixpath.join(directory, entry.name)
    return FileRow(entry=entry, path=path, change=changes.get(path, ""))


def _deleted(directory: str, there: set[str], changes: dict[str, str]) -> list[FileRow]:
    """What the image has in *directory* and the container has not any more."""
    gone = [
        path
        for path, kind in changes.items()
        if kind == "deleted" and posixpath.dirname(path) == directory and path not in there
    ]
    return [
        FileRow(
            entry=gateway.DirectoryEntry(
                name=posixpath.basename(path), kind="gone", size=0, mode=0, uid=0, gid=0, modified=None
            ),
            path=path,
            change="deleted",
        )
        for path in gone
    ]
