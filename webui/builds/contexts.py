"""A build's context as engines take it: one tar archive of what a person has sent, with the Dockerfile of the editor.

Nothing is unpacked here: entries are handed on from one archive to another, and the engine alone makes files of them.
"""

from __future__ import annotations

import io
import lzma
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from django.conf import settings
from django.utils.translation import gettext as _

DOCKERFILE: Final = "Dockerfile"
MOST_ENTRIES: Final = 200_000
MOST_BYTES: Final = 20_000_000_000
"""What an archive may hold unpacked: a small one can be made to hold any amount."""
_SPARE: Final = 1_000_000_000
"""Bytes that it leaves free on the disk."""


class UnusableContext(Exception):
    """The archive cannot be read; the text says why."""


@contextmanager
def context(archive: Path | None, *, dockerfile: str | None, check: Callable[[], None]) -> Iterator[IO[bytes]]:
    """A tar archive to send: of *archive* (zip or tar, compressed or not; `None` for an empty context), in which
    *dockerfile*, a text, takes the place of the archive's own; `None` leaves that. A folder that everything lies in is
    left out: that is how folders are packed.

    *check* is called now and then, and may raise to stop. `UnusableContext`.
    """
    directory = settings.UPLOADS_DIR
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    tarred = archive is not None and not zipfile.is_zipfile(archive)
    folder = _folder_of_tar(archive, _Budget(check, directory)) if archive is not None and tarred else ""
    if archive is not None and tarred and not folder and dockerfile is None:
        with archive.open("rb") as opened:
            yield opened
        return
    with tempfile.TemporaryFile(dir=directory) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            if archive is not None:
                budget, skip = _Budget(check, directory), DOCKERFILE if dockerfile is not None else ""
                if tarred:
                    _copy_tar(archive, tar, skip=skip, folder=folder, budget=budget)
                else:
                    _copy_zip(archive, tar, skip=skip, budget=budget)
            if dockerfile is not None:
                _write(tar, DOCKERFILE, dockerfile.replace("\r\n", "\n").encode())
        file.seek(0)
        yield file


class _Budget:
    """What an archive may still hold."""

    def __init__(self, check: Callable[[], None], directory: Path) -> None:
        self._check = check
        self._directory = directory
        self._entries = MOST_ENTRIES
        self._bytes = MOST_BYTES

    def spend(self, size: int) -> None:
        self._check()
        self._entries -= 1
        self._bytes -= size
        if size < 0 or self._entries < 0 or self._bytes < 0:
            raise UnusableContext(
                _("The archive holds more than a context may: %(entries)d files and %(size)d GB unpacked.")
                % {"entries": MOST_ENTRIES, "size": MOST_BYTES // 10**9}
            )
        if size > shutil.disk_usage(self._directory).free - _SPARE:
            raise UnusableContext(_("There is no room for the unpacked archive on the disk of this site."))


@contextmanager
def _tar(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:*") as source:
            yield source
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise UnusableContext(
            _("The archive cannot be read: %(why)s. Send a tar, tar.gz, tar.xz or zip.") % {"why": error}
        ) from error


def _folder_of_tar(archive: Path, budget: _Budget) -> str:
    """The folder that every entry of a tar lies in, with its slash; "" where there is none."""
    folder = ""
    with _tar(archive) as source:
        for member in source:
            budget.spend(member.size)
            name = member.name.removeprefix("./")
            top = name.partition("/")[0]
            if top in ("", ".", "..") or (folder and folder != top) or (name == top and not member.isdir()):
                return ""
            folder = top
    return f"{folder}/" if folder else ""


def _copy_tar(archive: Path, tar: tarfile.TarFile, *, skip: str, folder: str, budget: _Budget) -> None:
    """Copy all but *skip*, out of *folder* (`name/`) where there is one."""
    with _tar(archive) as source:
        for member in source:
            budget.spend(member.size)
            name = member.name.removeprefix("./")
            if folder:
                name = f"{name}/".removeprefix(folder).rstrip("/")
                member.name = name
                if member.islnk():
                    member.linkname = member.linkname.removeprefix("./").removeprefix(folder)
                # What is written there would win over these names.
                named = ("path", "linkpath")
                member.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in named}
            if name and name != skip:
                tar.addfile(member, source.extractfile(member) if member.isreg() else None)


def _copy_zip(archive: Path, tar: tarfile.TarFile, *, skip: str, budget: _Budget) -> None:
    try:
        with zipfile.ZipFile(archive) as source:
            entries = source.infolist()
            folder = _common_folder([entry.filename for entry in entries])
            for entry in entries:
                budget.spend(entry.file_size)
                name = entry.filename.removeprefix(folder)
                if not name or name == skip:
                    continue
                member = _member(entry, name)
                if member.issym():
                    member.linkname = source.read(entry)[:4096].decode(errors="surrogateescape")
                    tar.addfile(member)
                elif member.isdir():
                    tar.addfile(member)
                else:
                    with source.open(entry) as content:
                        tar.addfile(member, content)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise UnusableContext(_("The zip archive cannot be read: %(why)s.") % {"why": error}) from error


def _member(entry: zipfile.ZipInfo, name: str) -> tarfile.TarInfo:
    mode = entry.external_attr >> 16  # as Unix's zip writes it; 0 by others
    member = tarfile.TarInfo(name.rstrip("/"))
    member.mtime = int(time.mktime((*entry.date_time, 0, 0, -1)))
    if entry.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, stat.S_IMODE(mode) or 0o755
    elif stat.S_ISLNK(mode):
        member.type, member.mode = tarfile.SYMTYPE, 0o777
    else:
        member.size, member.mode = entry.file_size, stat.S_IMODE(mode) or 0o644
    return member


def _common_folder(names: list[str]) -> str:
    """The folder that every entry lies in, with its slash; "" where there is none."""
    first = {name.split("/", 1)[0] for name in names}
    if len(first) == 1 and all("/" in name for name in names):
        return f"{first.pop()}/"
    return ""


def _write(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, int(time.time())
    tar.addfile(member, io.BytesIO(content))
