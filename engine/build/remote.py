"""Sources of ADD that are elsewhere: files on the web, and git repositories."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.build import downloads, git
from engine.build.archives import SNIFFED, is_archive
from engine.build.context import write_archive
from engine.build.copying import Load
from engine.build.dockerfile.model import Add
from engine.build.means import Means
from engine.build.trees import Found, Tree
from engine.errors import EngineError, InvalidParameter, NotImplementedHere


def is_remote(source: str) -> bool:
    return downloads.is_web(source) or git.is_git(source)


def fetched(given: Add, source: str, *, tree_in: Callable[[Path], Tree], means: Means) -> Load:
    """*source*, fetched anew: only so can the cache know whether it has changed.

    Errors are those of `downloads.fetch` and of `git.Checkout`, with Docker's words before them.
    """
    try:
        if git.is_git(source):
            return _repository(given, source, tree_in, means)
        return _file(given, source, tree_in, means)
    except EngineError as error:
        if isinstance(error, NotImplementedHere):
            raise
        raise type(error)(f"ADD failed: {error}") from error


def _file(given: Add, source: str, tree_in: Callable[[Path], Tree], means: Means) -> Load:
    directory = means.scratch.directory("download")
    found = downloads.fetch(source, directory / "file", limit=means.limits.bytes, check=means.check, reach=means.reach)
    if given.checksum:
        downloads.verified(found, given.checksum)
    if not found.name and given.destination.endswith("/"):
        raise InvalidParameter(f"cannot determine filename from url: {source}")
    found.path.chmod(0o600)
    os.utime(found.path, (found.modified, found.modified))
    unpack = bool(given.unpack)
    if unpack:
        with found.path.open("rb") as file:
            unpack = is_archive(file.read(SNIFFED))
    return Load(
        tree=tree_in(directory),
        found=Found(path="file", asked=found.name or "file", directory=False),
        unpack=unpack,
    )


def _repository(given: Add, source: str, tree_in: Callable[[Path], Tree], means: Means) -> Load:
    if given.keep_git_dir:
        raise NotImplementedHere(
            "ADD --keep-git-dir: repositories are read without a checkout here, so there is no .git to keep: "
            "leave the flag out"
        )
    checkout = git.Checkout(git.parse(source), means)
    if given.checksum and not checkout.commit.startswith(given.checksum.removeprefix("sha1:")):
        raise InvalidParameter(f"expected checksum to match {given.checksum[:80]}, got {checkout.commit}")
    directory = means.scratch.directory("repository")
    write_archive(checkout.archive(), directory, limits=means.limits, what="the repository")
    return Load(tree=tree_in(directory), found=Found(path="", asked="", directory=True))
