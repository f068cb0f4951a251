"""What has been written reaches the disk: names as well, which an fsync of a file does not bring there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.kernel import syscalls


def sync_directory(directory: Path) -> None:
    """fsync(2) of *directory*: names that were made, changed or removed in it are so after a power cut as well."""
    with _opened(directory) as descriptor:
        os.fsync(descriptor)


def sync_file_system(directory: Path) -> None:
    """syncfs(2): everything on the file system that *directory* is on."""
    with _opened(directory) as descriptor:
        syscalls.syncfs(descriptor)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
