"""The files of containers: what is in a directory, what is at a path, and archives as streams."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.client import errors, parse
from engine.client.connection import Connection, segment

_BLOCK: Final = 512
_EXTENDED: Final = frozenset((b"x", b"g", b"L", b"K"))
"""Types of members that tell of the next one (POSIX.1-2001, ustar and pax; GNU's long names)."""
_LARGEST_HEADER: Final = 1 << 20

_GO_DIRECTORY: Final = 1 << 31
_GO_LINK: Final = 1 << 27
_GO_ODD: Final = 1 << 26 | 1 << 25 | 1 << 24
"""Devices, pipes and sockets in Go's `fs.FileMode`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """What is at a path in a container; `kind` is directory, link, file or other."""

    name: str
    kind: str
    size: int
    modified: dt.datetime | None
    link_target: str
    """Where a link leads, as an absolute path in the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One name in a directory; without `text` the name is no UTF-8, and cannot be asked for."""

    name: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    modified: dt.datetime | None
    target: str = ""
    leads_to: str = ""
    text: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    path: str
    entries: tuple[DirectoryEntry, ...]
    truncated: bool


class FileCalls(Connection):
    def directory(self, container: str, path: str, *, limit: int = 2000) -> Directory:
        """What is in the directory *path*; `NotSupported` by endpoints other than Havre."""
        # What is no container or no path is told of in the same status as what is no route.
        with errors.translated(self.base_url):
            api = self._api
            address = f"{api.base_url}/havre/v1/containers/{segment(container)}/files"
            answer = api.get(address, params={"path": path, "limit": str(limit)}, timeout=self.timeout)
        if answer.status_code == 404 and "page not found" in answer.text:
            raise errors.NotSupported("This engine does not tell what is in a directory.", status=501)
        if answer.status_code >= 400:
            raise errors.from_status(answer.status_code, answer.text)
        found = answer.json()
        entries = tuple(_entry(row) for row in found["Entries"])
        return Directory(path=found["Path"], entries=entries, truncated=bool(found["Truncated"]))

    def path_stat(self, container: str, path: str) -> PathStat:
        """What is at *path*; a link is not followed. `NotFound`."""
        place = f"/containers/{segment(container)}/archive"
        with self._request("HEAD", place, parameters={"path": path}) as answer:
            return _path_stat(answer.headers.get("X-Docker-Container-Path-Stat", ""))

    def read_file(self, container: str, path: str, *, limit: int) -> bytes:
        """The first *limit* bytes of the file *path*; what is no file has none."""
        place = f"/containers/{segment(container)}/archive"
        content, reader = bytearray(), FileOfArchive()
        with self._request("GET", place, parameters={"path": path}, stream=True) as answer:
            with errors.translated(self.base_url):
                for data in answer.iter_content(64 * 1024):
                    content += reader.feed(data)
                    if len(content) >= limit or reader.done:
                        break
        return bytes(content[:limit])

    def put_archive(self, container: str, path: str, tar: Iterable[bytes]) -> None:
        """Unpack *tar* into the directory *path* of a container.

        A directory is never replaced by a file, nor the reverse.
        """
        self._request(
            "PUT",
            f"/containers/{segment(container)}/archive",
            parameters={"path": path, "noOverwriteDirNonDir": "1"},
            data=tar,
            headers={"Content-Type": "application/x-tar"},
            patient=True,
        ).close()


class FileOfArchive:
    """The content of the first file of a tar whose pieces come one after the other."""

    def __init__(self) -> None:
        self.done = False
        self._waiting = b""
        self._left: int | None = None
        self._skip = 0
        self._pax_size: int | None = None

    def feed(self, data: bytes) -> bytes:
        """What of the content is in *data*, the next piece of the archive."""
        if self._left is None:
            self._waiting += data
            data = self._after_headers()
        if self._left is None:
            return b""
        content = data[: self._left]
        self._left -= len(content)
        self.done = self._left == 0
        return content

    def _after_headers(self) -> bytes:
        """Reads headers as far as they have come; answers what follows the file's own."""
        while len(self._waiting) >= _BLOCK:
            header = self._waiting[:_BLOCK]
            if not any(header):
                self._left = 0
                return b""
            try:
                member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise errors.EndpointFault(f"the archive cannot be read: {error}", status=500) from error
            if member.type not in _EXTENDED:
                size = member.size if self._pax_size is None else self._pax_size
                self._left = size if member.isreg() else 0
                rest, self._waiting = self._waiting[_BLOCK:], b""
                return rest
            whole = _BLOCK + -(-member.size // _BLOCK) * _BLOCK
            if not 0 <= member.size <= _LARGEST_HEADER:
                raise errors.EndpointFault("the archive has a header of an impossible size", status=500)
            if len(self._waiting) < whole:
                return b""
            if member.type == b"x":
                self._pax_size = _size_in(self._waiting[_BLOCK : _BLOCK + member.size])
            self._waiting = self._waiting[whole:]
        return b""


def archive_of(files: Iterable[tuple[str, int, Iterable[bytes]]], *, modified: int) -> Iterator[bytes]:
    """A tar of *files*: their names, sizes and contents in pieces; *modified* is seconds since the epoch."""
    for name, size, content in files:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o644, modified
        yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield from content
        yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)


async def file_of(archive: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content of the first file of *archive*, in pieces."""
    reader = FileOfArchive()
    async for data in archive:
        if content := reader.feed(data):
            yield content
        if reader.done:
            return


def _size_in(records: bytes) -> int | None:
    """The size that pax records tell (POSIX.1-2001): `length keyword=value` and a newline each."""
    for record in records.split(b"\n"):
        keyword, _, value = record.partition(b" ")[2].partition(b"=")
        if keyword == b"size" and value.isdigit():
            return int(value)
    return None


def _entry(row: Mapping[str, Any]) -> DirectoryEntry:
    return DirectoryEntry(
        name=row["Name"],
        kind=row["Kind"],
        size=row["Size"],
        mode=row["Mode"],
        uid=row["Uid"],
        gid=row["Gid"],
        modified=parse.instant(row["Modified"]),
        target=row["Target"],
        leads_to=row["LeadsTo"],
        text=row["Text"],
    )


def _path_stat(header: str) -> PathStat:
    try:
        row = json.loads(base64.b64decode(header, validate=True))
        mode = int(row["mode"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise errors.EndpointFault("the endpoint did not tell what is there", status=500) from error
    plain = "other" if mode & _GO_ODD else "file"
    return PathStat(
        name=row.get("name", ""),
        kind="directory" if mode & _GO_DIRECTORY else "link" if mode & _GO_LINK else plain,
        size=row.get("size") or 0,
        modified=parse.instant(row.get("mtime")),
        link_target=row.get("linkTarget") or "",
    )
