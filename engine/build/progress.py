"""What a build tells while it runs: events, in the order in which things happen.

Stages run at once, so the events of different steps mix; those of one step never change their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from engine.errors import EngineError
from engine.images.model import Told
from engine.types import Digest, now


class Stream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the plan. An argument before the first FROM has no stage (-1)."""

    number: int
    """Counted from 1, in the order of the file."""
    stage: int
    title: str
    """The stage's name, or `stage-N`."""
    text: str
    """The instruction, continued lines joined."""
    instruction: str
    """Its word in capitals."""
    line: int
    end_line: int
    needs: tuple[int, ...] = ()
    """The steps that must be done before: the one before it, and the last ones of stages that it takes files from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all; *at* is in nanoseconds since the epoch."""

    at: int = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulling(Event):
    """A line of the pull of a base image."""

    step: int
    progress: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached(Event):
    """The step's result was there already."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Event):
    """The step's result was not there: *reason* says why, *changed* names files and arguments."""

    step: int
    reason: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Event):
    """The step works in a container of that id. A step that only changes the image's config names one as well."""

    step: int
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Event):
    step: int
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """A line of the builder's own, without its end."""

    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(Event):
    """The step's container is gone."""

    step: int
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Event):
    """The step's image, `None` for a stage from `scratch` that has nothing yet; *size* of its layer in bytes."""

    step: int
    image: Digest | None
    size: int = 0
    ends_stage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    step: int
    error: EngineError
    code: int = 0
    """The exit code of a command that failed, else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something to know: a check of the Dockerfile (*rule* names it), or an argument that nobody used."""

    text: str
    rule: str = ""
    line: int = 0
    detail: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built(Event):
    """The build is done: its image, and the names that it got."""

    image: Digest
    names: tuple[str, ...] = ()


Tell = Callable[[Event], None]
"""Called from several threads. It may wait, and then what it was called for waits too; it may raise to stop."""
