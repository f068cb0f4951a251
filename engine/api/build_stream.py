"""A build's stream as structured lines: `POST /havre/v1/build`, an addition of Havre's to Docker's API.

The parameters and the body are those of `POST /build`. Every line is a JSON object with `Type` and `Time`; what else it
has is told in engine/build/README.md. Lines of different steps mix, as their stages run at once.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable
from typing import Any, Final

from engine.api.render_image import progress_line
from engine.api.status import status_of
from engine.build.dockerfile.errors import shown
from engine.build.errors import CommandFailed
from engine.build.progress import (
    Built,
    Cached,
    Done,
    Event,
    Failed,
    Missed,
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
from engine.types import now, rfc3339

Line = dict[str, Any]

_DECODER: Final = codecs.getincrementaldecoder("utf-8")


class BuildStream:
    """Turns events into lines, which it gives to *send* from one thread at a time."""

    def __init__(self, send: Callable[[Line], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._decoders: dict[tuple[int, Stream], codecs.IncrementalDecoder] = {}

    def tell(self, event: Event) -> None:
        with self._lock:
            kind, line = self._rendered(event)
            self._send({"Type": kind, "Time": rfc3339(event.at), **line})

    def end(self, error: EngineError) -> None:
        """The build has failed: the last line."""
        code = {"ExitCode": error.code} if isinstance(error, CommandFailed) else {}
        line = {"Type": "error", "Time": rfc3339(now()), "Message": shown(error), "Status": status_of(error), **code}
        with self._lock:
            self._send(line)

    def _rendered(self, event: Event) -> tuple[str, Line]:
        match event:
            case Planned():
                return "plan", {"Steps": [_step(step) for step in event.steps]}
            case Started():
                return "start", {"Step": event.step}
            case Pulling():
                return "pull", {"Step": event.step, "Progress": progress_line(event.progress)}
            case Cached():
                return "hit", {"Step": event.step}
            case Missed():
                return "miss", {"Step": event.step, "Reason": event.reason, "Changed": list(event.changed)}
            case Running():
                return "run", {"Step": event.step, "Container": event.container}
            case Output():
                return "log", {"Step": event.step, "Stream": str(event.stream), "Text": self._text(event)}
            case Note():
                return "note", {"Step": event.step, "Text": event.text}
            case Removed():
                return "end-run", {"Step": event.step, "Container": event.container}
            case Done():
                image = str(event.image) if event.image else None
                return "done", {"Step": event.step, "Image": image, "Size": event.size, "EndsStage": event.ends_stage}
            case Failed():
                return "fail", {"Step": event.step, "Message": shown(event.error), "ExitCode": event.code}
            case Warned():
                return "warning", {
                    "Text": event.text,
                    "Rule": event.rule,
                    "Line": event.line,
                    "Detail": event.detail,
                    "Url": event.url,
                }
            case Built():
                return "built", {"Image": str(event.image), "Names": list(event.names)}
        raise TypeError(f"{type(event).__name__} is no event of a build")

    def _text(self, event: Output) -> str:
        """The output as text; a letter that is cut comes with the next line."""
        return self._decoders.setdefault((event.step, event.stream), _DECODER("replace")).decode(event.data)


def _step(step: Step) -> Line:
    return {
        "Step": step.number,
        "Stage": step.stage,
        "StageName": step.title,
        "Instruction": step.instruction,
        "Text": step.text,
        "Line": step.line,
        "EndLine": step.end_line,
        "Needs": list(step.needs),
    }
