"""Builds that are measured, each with a context of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fixtures.daemons import Daemon

STEPS: Final = 20
CONTEXT: Final = 200 * 1024 * 1024
FILES: Final = 50
STAGES: Final = 10


def steps() -> str:
    """A Dockerfile of many small commands."""
    return "FROM busybox\n" + "".join(f"RUN echo {number} > /file{number}\n" for number in range(STEPS))


def fan() -> str:
    """Stages that do not need each other, each with half a second of work, and one that takes from all of them."""
    names = range(STAGES - 1)
    stages = "".join(f"FROM busybox AS s{n}\nRUN sleep 0.5; echo {n} > /f{n}\n" for n in names)
    return f"{stages}FROM busybox\n" + "".join(f"COPY --from=s{n} /f{n} /\n" for n in names)


def context(daemon: Daemon, name: str, dockerfile: str, *, size: int = 0) -> Path:
    """A directory with the Dockerfile and *size* bytes of other files."""
    directory = daemon.directory / name
    if directory.exists():
        return directory
    directory.mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    for number in range(FILES if size else 0):
        (directory / f"data{number}").write_bytes(os.urandom(size // FILES))
    return directory


def build(name: str, dockerfile: str, *options: str, size: int = 0) -> Callable[[Daemon], tuple[str, ...]]:
    """The command that builds it; the context is made when it is not there."""

    def command(daemon: Daemon) -> tuple[str, ...]:
        return ("build", "-q", *options, str(context(daemon, name, dockerfile, size=size)))

    return command
