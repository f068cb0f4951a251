"""The progress of a pull: calls from several threads made one at a time, in Docker's order, and not too many."""

from __future__ import annotations

import threading
import time
from typing import Final

from engine.images.model import LayerPhase, LayerProgress, Message, Progress
from engine.types import Digest

INTERVAL: Final = 0.1
"""Seconds between two reports of one layer's bytes. A new phase is reported at once."""

_ORDER: Final = {phase: number for number, phase in enumerate(LayerPhase)}


class ProgressBoard:
    """Hands progress on to *progress*, which is never called by two threads at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._phases: dict[Digest, LayerPhase] = {}
        self._times: dict[Digest, float] = {}

    def message(self, text: str, tag: str = "") -> None:
        with self._lock:
            self._progress(Message(text=text, id=tag))

    def layer(self, digest: Digest, phase: LayerPhase, current: int = 0, total: int = 0) -> None:
        """Report a layer's phase. One that is behind the last reported is left out: phases never go back.

        Extraction runs beside the download, but clients show one bar a layer, so it is told of after the download.
        """
        instant = time.monotonic()
        with self._lock:
            last = self._phases.get(digest)
            if last is not None:
                early = phase is LayerPhase.EXTRACTING and _ORDER[last] < _ORDER[LayerPhase.DOWNLOADED]
                if early or _ORDER[phase] < _ORDER[last]:
                    return
                if phase is last and instant - self._times[digest] < INTERVAL:
                    return
            self._phases[digest] = phase
            self._times[digest] = instant
            self._progress(LayerProgress(layer=digest.short, phase=phase, current=current, total=total))
