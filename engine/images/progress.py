"""The progress of layers: calls from several threads made one at a time, in Docker's order, and not too many."""

from __future__ import annotations

import threading
import time
from typing import Final

from engine.images.model import LayerPhase, LayerProgress, LoadPhase, Message, Progress, PushPhase, Told
from engine.types import Digest

INTERVAL: Final = 0.1
"""Seconds between two reports of one layer's bytes. A new phase is reported at once."""

_ORDER: Final = {phase: number for kind in (LayerPhase, PushPhase, LoadPhase) for number, phase in enumerate(kind)}


class ProgressBoard:
    """Hands progress on to *progress*, which is never called by two threads at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._phases: dict[Digest, LayerPhase | PushPhase | LoadPhase] = {}
        self._times: dict[Digest, float] = {}
        self._imported = 0.0

    def message(self, text: str, tag: str = "") -> None:
        with self._lock:
            self._progress(Message(text=text, id=tag))

    def importing(self, current: int, total: int) -> None:
        """Report bytes of a file system that is fetched."""
        instant = time.monotonic()
        with self._lock:
            if instant - self._imported >= INTERVAL or current == total:
                self._imported = instant
                self._progress(LayerProgress(layer="", phase=LoadPhase.IMPORTING, current=current, total=total))

    def tell(self, what: Told) -> None:
        with self._lock:
            self._progress(what)

    def begin(self, digest: Digest, phase: LayerPhase | PushPhase) -> None:
        """Forget what was told of a layer, which now begins anew: for the next tag of one push."""
        with self._lock:
            self._phases.pop(digest, None)
        self.layer(digest, phase)

    def layer(
        self,
        digest: Digest,
        phase: LayerPhase | PushPhase | LoadPhase,
        current: int = 0,
        total: int = 0,
        *,
        detail: str = "",
    ) -> None:
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
            self._progress(LayerProgress(layer=digest.short, phase=phase, current=current, total=total, detail=detail))
