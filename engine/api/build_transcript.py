"""A build's stream in the words of Docker's classic builder, step by step in the order of the file.

Steps of different stages run at once; what belongs to a later step waits until those before it are done. A command that
prints more than `_AHEAD` bytes before its turn waits as well.
"""

from __future__ import annotations

import codecs
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from engine.api.render_image import progress_line
from engine.build.dockerfile.errors import shown
from engine.build.errors import CommandFailed
from engine.build.progress import (
    Built,
    Cached,
    Done,
    Event,
    Failed,
    Note,
    Output,
    Planned,
    Pulling,
    Removed,
    Running,
    Started,
    Step,
    Stream,
    Warned,
)
from engine.errors import EngineError

Line = dict[str, Any]

_AHEAD: Final = 1024 * 1024
"""Bytes of output that are kept for a step whose turn has not come."""
_MOST_QUIET: Final = 1000
"""Lines that are kept of a build that tells nothing unless it fails."""
_TICK: Final = 0.1
_DECODER: Final = codecs.getincrementaldecoder("utf-8")


class Transcript:
    """Turns events into lines, which it gives to *send* from one thread at a time."""

    def __init__(self, send: Callable[[Line], None], *, check: Callable[[], None], quiet: bool = False) -> None:
        """*check* raises when nobody listens any more. A *quiet* one tells the image's id, or all when it fails."""
        self._quiet: deque[Line] | None = deque(maxlen=_MOST_QUIET) if quiet else None
        self._write = send
        self._check = check
        self._turn = threading.Condition()
        self._steps: dict[int, Step] = {}
        self._front = 1
        self._waiting: dict[int, deque[Event]] = {}
        self._kept: dict[int, int] = {}
        self._decoders: dict[tuple[int, Stream], codecs.IncrementalDecoder] = {}

    def end(self, error: EngineError) -> None:
        """The build has failed: send the last lines."""
        with self._turn:
            for line in self._quiet or ():
                self._write(line)
            self._write(failure(error))

    def tell(self, event: Event) -> None:
        """Send what *event* means, or keep it until its turn."""
        with self._turn:
            match event:
                case Planned():
                    self._steps = {step.number: step for step in event.steps}
                case Warned():
                    self._send({"stream": f"{event.text}\n"})
                case Failed():
                    self._fail(event)
                case Built():
                    self._end(event)
                case _:
                    self._place(event, getattr(event, "step", 0))

    def _place(self, event: Event, number: int) -> None:
        if number == self._front:
            self._show(event)
            return
        if isinstance(event, Output):
            while number != self._front and self._kept.get(number, 0) + len(event.data) > _AHEAD:
                self._turn.wait(_TICK)
                self._check()
            if number == self._front:
                self._show(event)
                return
            self._kept[number] = self._kept.get(number, 0) + len(event.data)
        self._waiting.setdefault(number, deque()).append(event)

    def _show(self, event: Event) -> None:
        waiting = deque([event])
        while waiting:
            event = waiting.popleft()
            for line in self._lines(event):
                self._send(line)
            if isinstance(event, Done):
                self._front += 1
                self._turn.notify_all()
                waiting += self._waiting.pop(self._front, ())

    def _fail(self, event: Failed) -> None:
        """Show what the step that failed has said, though its turn may not have come."""
        for kept in self._waiting.pop(event.step, ()):
            for line in self._lines(kept):
                self._send(line)

    def _lines(self, event: Event) -> list[Line]:
        match event:
            case Started():
                step = self._steps[event.step]
                return [_text(f"Step {step.number}/{len(self._steps)} : {step.text}"), _text("\n")]
            case Pulling():
                return [progress_line(event.progress)]
            case Cached():
                return [_text(" ---> Using cache\n")]
            case Note():
                return [_text(f"{event.text}\n")]
            case Running():
                return [_text(f" ---> Running in {event.container[:12]}\n")]
            case Output():
                decoder = self._decoders.setdefault((event.step, event.stream), _DECODER("replace"))
                text = decoder.decode(event.data)
                if not text:
                    return []  # the beginning of a letter
                return [_text(f"\x1b[91m{text}\x1b[0m" if event.stream is Stream.STDERR else text)]
            case Removed():
                return [_text(f"Removing intermediate container {event.container[:12]}\n")]
            case Done():
                return self._done_lines(event)
        return []

    def _done_lines(self, event: Done) -> list[Line]:
        if self._steps[event.step].stage < 0:
            return []  # an argument before the first FROM has no image
        lines = [_text(f" ---> {event.image.short if event.image else ''}\n")]
        if event.ends_stage and event.image:
            lines.append({"aux": {"ID": str(event.image)}})
        return lines

    def _send(self, line: Line) -> None:
        if self._quiet is None:
            self._write(line)
        else:
            self._quiet.append(line)

    def _end(self, event: Built) -> None:
        if self._quiet is not None:
            self._write(_text(f"{event.image}\n"))
            return
        self._send(_text(f"Successfully built {event.image.short}\n"))
        for name in event.names:
            self._send(_text(f"Successfully tagged {name}\n"))


def failure(error: EngineError) -> Line:
    """The last line of a build that has failed: a code only for a command that ended with one."""
    detail: Line = {"code": error.code} if isinstance(error, CommandFailed) else {}
    words = shown(error)
    return {"errorDetail": {**detail, "message": words}, "error": words}


def _text(text: str) -> Line:
    return {"stream": text}
