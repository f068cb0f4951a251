"""The engine's events of a pull, push or load become a picture of layers that the page shows."""

from __future__ import annotations

import time
from typing import Any, Final

from webui import gateway

ALREADY: Final = frozenset({"Already exists", "Layer already exists"})
DONE: Final = frozenset({"Pull complete", "Pushed", *ALREADY})
MOVING: Final = frozenset({"Downloading", "Pushing", "Loading layer"})
BEFORE: Final = frozenset({"Pulling fs layer", "Preparing", "Waiting"})
MOST_LAYERS: Final = 500


class LayerProgress:
    """Layers by their short digest, bytes and speed: what `Job.progress` holds.

        {"layers": [{"id", "status", "current", "total", "done"}], "already", "current", "total", "speed", "left",
         "lines": [str]}

    `current` and `total` are bytes of all layers whose size is known, `already` counts the layers that were there,
    `speed` is bytes a second over the last seconds, and `left` the seconds that the rest takes at that speed.
    """

    WINDOW = 4.0

    def __init__(self) -> None:
        self._layers: dict[str, dict[str, Any]] = {}
        self._lines: list[str] = []
        self._samples: list[tuple[float, int]] = []

    def take(self, event: gateway.PullEvent) -> None:
        """Account for one event of the engine."""
        if not event.layer:
            if event.status:
                self._lines = [*self._lines[-9:], event.status]
            return
        if event.layer not in self._layers and len(self._layers) >= MOST_LAYERS:
            return
        layer = self._layers.setdefault(
            event.layer, {"id": event.layer, "status": "", "current": 0, "total": 0, "done": False}
        )
        layer["status"] = event.status
        layer["done"] = event.status in DONE or event.status.startswith("Mounted from")
        if event.status in MOVING:
            # What is sent is compressed on the way: the engine may count past the end.
            layer["total"] = event.total
            layer["current"] = min(event.current, event.total) if event.total else event.current
            layer["done"] = event.status == "Loading layer" and 0 < event.total <= event.current
        elif event.status not in BEFORE:
            # Verified, extracting, there: every byte has come.
            layer["current"] = layer["total"]

    def picture(self) -> dict[str, Any]:
        layers = list(self._layers.values())
        current = sum(layer["current"] for layer in layers)
        total = sum(layer["total"] for layer in layers)
        speed = self._speed(current)
        return {
            "layers": [dict(layer) for layer in layers],
            "already": sum(layer["status"] in ALREADY for layer in layers),
            "current": current,
            "total": total,
            "speed": speed,
            "left": round((total - current) / speed) if speed and total > current else 0,
            "lines": list(self._lines),
        }

    def _speed(self, current: int) -> int:
        moment = time.monotonic()
        self._samples.append((moment, current))
        self._samples = [sample for sample in self._samples if moment - sample[0] <= self.WINDOW]
        begin, before = self._samples[0]
        return max(0, int((current - before) / (moment - begin))) if moment > begin else 0
