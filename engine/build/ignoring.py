"""What is left out: of a context by .dockerignore, of a copy by --exclude."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.build.dockerfile.ignore import ROOT, IgnoreMatcher, Verdict, read_patterns
from engine.build.trees import Excluded
from engine.kernel import syscalls
from engine.kernel.trees import remove_tree

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


def exclusion(patterns: Sequence[str]) -> Excluded | None:
    """Whether a path is left out by *patterns* of --exclude; `None` where there are none."""
    return IgnoreMatcher(patterns).ignores if patterns else None


def remove_ignored(root: Path, ignore: bytes) -> None:
    """Remove from the context in *root* what the patterns in *ignore* leave out.

    A client that reads the file itself has sent nothing of that; one from elsewhere, such as git, has.
    """
    patterns = read_patterns(ignore)
    if not patterns:
        return
    matcher = IgnoreMatcher(patterns)
    top = os.open(root, _DIRECTORY)
    try:
        emptied = []
        waiting: list[tuple[str, Verdict]] = [("", ROOT)]
        while waiting:
            path, above = waiting.pop()
            here = syscalls.openat2(top, path or ".", _DIRECTORY, resolve=_BENEATH)
            try:
                with os.scandir(here) as entries:
                    found = list(entries)
                for entry in found:
                    place = posixpath.join(path, entry.name)
                    verdict = matcher.verdict(place, above)
                    directory = entry.is_dir(follow_symlinks=False)
                    if directory and (not verdict.ignored or matcher.has_exceptions):
                        waiting.append((place, verdict))
                        if verdict.ignored:
                            emptied.append(place)
                    elif directory:
                        remove_tree(f"/proc/self/fd/{here}/{entry.name}")
                    elif verdict.ignored:
                        os.unlink(entry.name, dir_fd=here)
            finally:
                os.close(here)
        _remove_empty(top, emptied)
    finally:
        os.close(top)


def _remove_empty(top: int, places: Sequence[str]) -> None:
    """Directories that are left out themselves stay only for what was taken back in them."""
    for place in reversed(places):
        directory, name = posixpath.split(place)
        parent = syscalls.openat2(top, directory or ".", _DIRECTORY, resolve=_BENEATH)
        try:
            descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                with os.scandir(descriptor) as entries:
                    empty = next(entries, None) is None
            finally:
                os.close(descriptor)
            if empty:
                os.rmdir(name, dir_fd=parent)
        finally:
            os.close(parent)
