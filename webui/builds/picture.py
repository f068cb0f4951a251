"""The engine's events of a build become a picture that the page draws: what `Job.progress` of a build holds."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from webui import gateway
from webui.gateway import BuildEventKind
from webui.images.progress import LayerProgress

MOST_STEPS: Final = 500
MOST_WARNINGS: Final = 200
_ENDED: Final = frozenset({"done", "cached", "failed"})


class BuildPicture:
    """Steps by their number.

        {"steps": [{"number", "stage", "stage_name", "instruction", "text", "line", "needs", "state", "started",
                    "ended", "size", "image", "reason", "changed", "pull"}],
         "warnings": [{"rule", "text", "line", "url", "detail"}], "image", "names", "ended", "cached", "count"}

    A step's state is `waiting`, `running`, `done`, `cached` or `failed`; times are seconds since the epoch, 0 for not
    yet; `size` is the bytes of its layer; `ended` of `count` steps are through.
    """

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Any]] = {}
        self._pulls: dict[int, LayerProgress] = {}
        self._warnings: list[dict[str, Any]] = []
        self._image = ""
        self._names: tuple[str, ...] = ()
        self._stage = -1

    def take(self, event: gateway.BuildEvent) -> None:
        """Account for one event of the engine."""
        match event.kind:
            case BuildEventKind.PLAN:
                for step in event.steps[:MOST_STEPS]:
                    self._steps[step.number] = _waiting(step)
            case BuildEventKind.START:
                self._begin(event)
            case BuildEventKind.PULL if event.pull is not None:
                self._pulls.setdefault(event.step, LayerProgress()).take(event.pull)
            case BuildEventKind.HIT:
                self._of(event)["state"] = "cached"
            case BuildEventKind.MISS:
                self._of(event).update(reason=event.text, changed=list(event.changed[:20]))
            case BuildEventKind.DONE:
                self._end(event)
            case BuildEventKind.FAIL:
                self._of(event).update(state="failed", ended=_seconds(event.time))
            case BuildEventKind.WARNING if len(self._warnings) < MOST_WARNINGS:
                self._warnings.append(
                    {
                        "rule": event.rule,
                        "text": _sentence(event),
                        "line": event.line,
                        "url": event.url,
                        "detail": event.detail,
                    }
                )
            case BuildEventKind.BUILT:
                self._image, self._names = event.image, event.names
            case _:
                pass  # output, which is kept elsewhere

    def picture(self) -> dict[str, Any]:
        steps = [dict(step) for _, step in sorted(self._steps.items())]
        for step in steps:
            pull = self._pulls.get(step["number"])
            if pull is not None and step["state"] == "running":
                found = pull.picture()
                step["pull"] = {"current": found["current"], "total": found["total"], "speed": found["speed"]}
        return {
            "steps": steps,
            "warnings": list(self._warnings),
            "image": self._image,
            "names": list(self._names),
            "ended": sum(step["state"] in _ENDED for step in steps),
            "cached": sum(step["state"] == "cached" for step in steps),
            "count": len(steps),
        }

    def _of(self, event: gateway.BuildEvent) -> dict[str, Any]:
        """The row of an event's step; one that no plan told of is made."""
        if event.step not in self._steps and len(self._steps) >= MOST_STEPS:
            return {}
        return self._steps.setdefault(event.step, _unplanned(event.step, self._stage))

    def _begin(self, event: gateway.BuildEvent) -> None:
        row = self._of(event)
        if event.text and not row.get("text"):
            # An endpoint without plans: stages are counted by their first instruction.
            word = event.text.split(None, 1)[0].upper()
            self._stage += word == "FROM"
            row.update(text=event.text, instruction=word, stage=self._stage, stage_name=f"stage-{self._stage}")
        if row.get("state") == "waiting":
            row.update(state="running", started=_seconds(event.time))

    def _end(self, event: gateway.BuildEvent) -> None:
        row = self._of(event)
        state = "cached" if row.get("state") == "cached" else "done"
        row.update(state=state, ended=_seconds(event.time), size=event.size, image=event.image)
        row["started"] = row.get("started") or row["ended"]


def _waiting(step: gateway.BuildStep) -> dict[str, Any]:
    return {
        **_unplanned(step.number, step.stage),
        "stage_name": step.stage_name,
        "instruction": step.instruction,
        "text": step.text[:2000],
        "line": step.line,
        "needs": list(step.needs),
    }


def _unplanned(number: int, stage: int) -> dict[str, Any]:
    return {
        "number": number,
        "stage": stage,
        "stage_name": "",
        "instruction": "",
        "text": "",
        "line": 0,
        "needs": [],
        "state": "waiting",
        "started": 0,
        "ended": 0,
        "size": 0,
        "image": "",
        "reason": "",
        "changed": [],
    }


def _sentence(event: gateway.BuildEvent) -> str:
    """A warning without what the picture has apart: the stream's words are those of Docker's classic builder."""
    text = event.text.removeprefix("[Warning] ").removeprefix(f"{event.rule}: ")
    return text.removesuffix(f" (line {event.line})")


def _seconds(text: str) -> float:
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return dt.datetime.now(dt.UTC).timestamp()
