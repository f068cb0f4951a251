"""The runner of pull jobs: the engine's events become a picture of layers that the page shows."""

from __future__ import annotations

import time
from typing import Any

from webui import gateway
from webui.jobs.runners import JobFailed, JobRun

DONE = frozenset({"Pull complete", "Already exists"})
MOST_LAYERS = 500


class PullProgress:
    """Layers by their short digest, bytes and speed: what `Job.progress` holds for a pull.

        {"layers": [{"id", "status", "current", "total", "done"}], "current", "total", "speed", "lines": [str]}

    `current` and `total` are compressed bytes of all layers whose size is known, `speed` bytes a second over the last
    seconds.
    """

    WINDOW = 4.0

    def __init__(self) -> None:
        self._layers: dict[str, dict[str, Any]] = {}
        self._lines: list[str] = []
        self._samples: list[tuple[float, int]] = []

    def take(self, event: gateway.PullEvent) -> None:
        """Account for one event of the engine."""
        if not event.layer:
            self._lines = [*self._lines[-9:], event.status]
            return
        if event.layer not in self._layers and len(self._layers) >= MOST_LAYERS:
            return
        layer = self._layers.setdefault(
            event.layer, {"id": event.layer, "status": "", "current": 0, "total": 0, "done": False}
        )
        layer["status"] = event.status
        layer["done"] = event.status in DONE
        if event.status == "Downloading":
            layer["current"], layer["total"] = event.current, event.total
        elif event.status != "Pulling fs layer" and event.status != "Waiting":
            # Verified, extracting, there: every byte has come.
            layer["current"] = layer["total"]

    def picture(self) -> dict[str, Any]:
        layers = list(self._layers.values())
        current = sum(layer["current"] for layer in layers)
        return {
            "layers": [dict(layer) for layer in layers],
            "current": current,
            "total": sum(layer["total"] for layer in layers),
            "speed": self._speed(current),
            "lines": list(self._lines),
        }

    def _speed(self, current: int) -> int:
        moment = time.monotonic()
        self._samples.append((moment, current))
        self._samples = [sample for sample in self._samples if moment - sample[0] <= self.WINDOW]
        begin, before = self._samples[0]
        return int((current - before) / (moment - begin)) if moment > begin else 0


def run_pull(run: JobRun) -> str:
    """Pull `parameters["reference"]` into the job's environment; answers the engine's own last line."""
    progress = PullProgress()
    last = ""
    try:
        with (
            gateway.client(run.job.environment) as client,
            client.pull(run.job.parameters["reference"]) as pull,
        ):
            run.on_cancel(pull.close)
            for event in pull:
                progress.take(event)
                if not event.layer:
                    last = event.status
                run.progress = progress.picture()
                run.report()
    except gateway.ClientError as error:
        raise JobFailed(str(error)) from error
    run.progress = progress.picture()
    return last.removeprefix("Status: ")
