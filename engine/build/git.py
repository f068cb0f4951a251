"""Git repositories as contexts and as sources of ADD: fetched by the program `git`, read without a checkout.

A repository is a stranger's. `git` runs as nobody, with no configuration but what is given here, without hooks and
helpers of the host, and only by protocols that reach over the network; nothing is checked out, so neither filters nor
hooks of the repository ever run. Its files are read as objects and written into an archive, which the confined helper
unpacks.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from engine.build.git_reach import pinned
from engine.build.means import Means
from engine.errors import InvalidParameter, Unavailable
from engine.kernel.trees import tree_size
from engine.snapshots.tar import FILE, LONGEST_NAME, SYMLINK, Entry
from engine.snapshots.tar_writer import END, header, padding
from engine.types import SECOND

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOBODY: Final = 65534
_TIMEOUT: Final = 1800.0
_LOOK: Final = 1.0
"""Seconds between two looks at how much has been fetched."""
_REF: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@-]{0,250}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WEB: Final = re.compile(r"https?://[^#\s]+\.git(#.*)?", re.DOTALL)
_OTHER: Final = re.compile(r"(git|ssh)://[^\s]+|[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:[^\s]+")
_PIECE: Final = 1024 * 1024
_MEMORY: Final = 4 * 1024**3
"""Bytes that one git may have: what a pack makes of a few bytes may be any number of them."""
_ROW: Final = 128
"""Bytes that git may print for each file that there may be: its kind, its id and its path."""
_SETTINGS: Final = (
    *("protocol.allow=never", "protocol.http.allow=always", "protocol.https.allow=always"),
    *("protocol.git.allow=always", "protocol.ssh.allow=always", "core.hooksPath=/dev/null", "core.fsmonitor=false"),
    *(
        "credential.helper=",
        "fetch.fsckObjects=true",
        "transfer.fsckObjects=true",
        "gc.auto=0",
        "maintenance.auto=false",
    ),
    *("http.lowSpeedLimit=1", "http.lowSpeedTime=60", "submodule.recurse=false", "fetch.recurseSubmodules=false"),
)
_KINDS: Final = {b"100644": 0o644, b"100664": 0o644, b"100755": 0o755}
_LINK: Final = b"120000"
_SUBMODULE: Final = b"160000"


@dataclass(frozen=True, slots=True)
class Repository:
    """Where files are: an address, a branch, tag or commit ("" for the usual branch), and a directory in it."""

    address: str
    ref: str = ""
    directory: str = ""


def is_git(source: str) -> bool:
    """Whether *source* names a repository: by its scheme, as `user@host:path`, as a web address that ends in .git."""
    return bool(_WEB.fullmatch(source) or _OTHER.fullmatch(source))


def parse(source: str) -> Repository:
    """The repository that `ADDRESS#REF:DIRECTORY` names; `InvalidParameter` when it is none."""
    address, _, fragment = source.partition("#")
    ref, _, directory = fragment.partition(":")
    if not is_git(address):
        raise InvalidParameter(f"{address[:300]!r} is no address of a git repository that can be fetched from here")
    if ref and (not _REF.fullmatch(ref) or ".." in ref):
        raise InvalidParameter(f"{ref[:100]!r} is no branch, tag or commit")
    parts = [part for part in directory.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in directory:
        raise InvalidParameter(f"{directory[:200]!r} does not lie in the repository")
    return Repository(address, ref, "/".join(parts))


class Checkout:
    """The files of *repository*, fetched into a directory that is nobody's."""

    def __init__(self, repository: Repository, means: Means) -> None:
        """Fetch. `Unavailable` with git's words when that fails, `InvalidParameter` for what is too large.

        `Forbidden` for a repository that lies where *means* do not reach.
        """
        self._repository = repository
        self._limits = means.limits
        self._check = means.check
        self._settings = (*_SETTINGS, *(pinned(repository.address, means.reach) if means.reach else ()))
        self._place = means.scratch.repository()
        os.chown(self._place, _NOBODY, _NOBODY)
        self._run("init", "--quiet", "--bare", "--template=", ".")
        self.commit = self._run("rev-parse", "--verify", f"{self._fetch()}^{{commit}}").decode("ascii").strip()
        """The commit's id."""

    def archive(self) -> Iterator[bytes]:
        """A tar of the files, as they are at the commit; times are the commit's. Submodules are empty directories."""
        when = int(self._run("log", "--max-count=1", "--format=%ct", self.commit)) * SECOND
        tree = f"{self.commit}:{self._repository.directory}"
        rows = [row for row in self._run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0") if row]
        if len(rows) > self._limits.entries:
            raise InvalidParameter(
                f"the repository has {len(rows)} files, more than the {self._limits.entries} allowed"
            )
        with self._started("cat-file", "--batch", stdin=subprocess.PIPE) as process:
            if process.stdin is None or process.stdout is None:
                raise Unavailable("git has no standard streams")
            for row in rows:
                self._check()
                described, _, name = row.partition(b"\t")
                mode, _, identifier = described.split(b" ")
                if mode == _SUBMODULE:
                    continue
                process.stdin.write(identifier + b"\n")
                process.stdin.flush()
                yield from _member(process.stdout, name, mode, when)
            process.stdin.close()
        yield END

    def _fetch(self) -> str:
        """Fetch, and name what was asked for."""
        ref = self._repository.ref or "HEAD"
        wanted = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph")
        try:
            self._run(*wanted, "--depth=1", "--", self._repository.address, ref)
        except Unavailable:
            # Servers that are no more than files know no depth, others give a commit only as part of its history.
            if _COMMIT.fullmatch(ref):
                self._run(*wanted, "--", self._repository.address, "+refs/*:refs/remote/*")
                return ref
            self._run(*wanted, "--", self._repository.address, ref)
        return "FETCH_HEAD"

    def _run(self, *arguments: str) -> bytes:
        """What git prints; `Unavailable` with its complaint when it fails."""
        with self._started(*arguments) as process:
            try:
                out, err = self._collect(process)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            words = err.decode("utf-8", "replace").strip().rpartition("\n")[2][:500]
            raise Unavailable(f"git {arguments[0]}: {words or f'ended with code {process.returncode}'}")
        return out

    def _collect(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        parts: dict[str, list[bytes]] = {"out": [], "err": []}
        # A few trees that have each other many times over are small, and billions of files when they are listed.
        room = max(_PIECE, _ROW * self._limits.entries)
        began = looked = time.monotonic()
        if process.stdout is None or process.stderr is None:
            raise Unavailable("git has no standard streams")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, "out")
            selector.register(process.stderr, selectors.EVENT_READ, "err")
            while selector.get_map():
                self._check()
                for key, _ in selector.select(0.1):
                    data = os.read(key.fd, _PIECE)
                    parts[key.data].append(data)
                    room -= len(data)
                    if room < 0:
                        raise InvalidParameter(f"the repository has more files than the {self._limits.entries} allowed")
                    if not data:
                        selector.unregister(key.fileobj)
                if time.monotonic() - began > _TIMEOUT:
                    raise Unavailable(f"git did not end within {_TIMEOUT:.0f} s")
                if time.monotonic() - looked > _LOOK:
                    looked = time.monotonic()
                    if tree_size(self._place) > self._limits.bytes:
                        raise InvalidParameter(f"the repository has more than the {self._limits.bytes} bytes allowed")
        process.wait()
        return b"".join(parts["out"]), b"".join(parts["err"])

    def _started(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        if shutil.which("git", path=_PATH) is None:
            raise Unavailable("git is not installed on this host: install the package git")
        settings = [word for setting in self._settings for word in ("-c", setting)]
        # No file of it becomes larger than all is allowed to be.
        limits = (f"--fsize={self._limits.bytes}:{self._limits.bytes}", f"--data={_MEMORY}:{_MEMORY}")
        return subprocess.Popen(
            ["prlimit", *limits, "git", *settings, *arguments],
            cwd=self._place,
            env=_environment(self._place),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            start_new_session=True,
        )


def _member(objects: IO[bytes], name: bytes, mode: bytes, when: int) -> Iterator[bytes]:
    """One file out of what `git cat-file --batch` prints."""
    told: Sequence[bytes] = objects.readline().split()
    if len(told) != 3 or told[1] != b"blob":
        raise Unavailable(f"git does not give {name[:200]!r}: {b' '.join(told)[:100]!r}")
    size = int(told[2])
    if mode == _LINK and size <= LONGEST_NAME:
        target = objects.read(size)
        yield header(Entry(name=name, kind=SYMLINK, mode=0o777, link=target, mtime=when))
    else:
        yield header(Entry(name=name, kind=FILE, mode=_KINDS.get(mode, 0o644), size=size, mtime=when))
        left = size
        while left:
            data = objects.read(min(left, _PIECE))
            if not data:
                raise Unavailable(f"git ended in the middle of {name[:200]!r}")
            left -= len(data)
            yield data
        yield padding(size)
    objects.read(1)  # the line's end behind each object


def _environment(place: Path) -> dict[str, str]:
    return {
        "PATH": _PATH,
        "HOME": str(place),
        "LANG": "C.UTF-8",
        "GIT_DIR": str(place),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes",
        "GIT_OPTIONAL_LOCKS": "0",
        **{name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ},
    }
