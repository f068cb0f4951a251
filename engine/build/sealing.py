"""Sealing: a step's directory becomes a layer with a name and its tip an image with a row, while the next step runs.

One thread does this for a build, in the order in which the steps ended, so that an image's parent is always there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from engine.build.cache import BuildCache, Inputs
from engine.build.tips import Sealed, Tip
from engine.images.service import ImageService
from engine.snapshots.adoption import AdoptedLayer
from engine.snapshots.layers import LayerStore
from engine.types import Digest, now, rfc3339

_DONE: Final = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What the results of builds are kept in."""

    images: ImageService
    layers: LayerStore
    cache: BuildCache


@dataclass(frozen=True, slots=True)
class _Work:
    parent: Tip
    tip: Tip
    layer: AdoptedLayer | Digest | None
    inputs: Inputs
    created: str


class Sealer:
    """Seals the steps of one build; a context, at whose end what no image has is gone."""

    def __init__(self, stores: Stores, *, check: Callable[[], None], epoch: int | None = None) -> None:
        """*check* is called often and may raise to give up; *epoch* is the time of everything, in nanoseconds."""
        self._stores = stores
        self._check = check
        self._epoch = epoch
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._adopted: list[AdoptedLayer] = []
        self._lock = threading.Lock()
        self._holds = ExitStack()
        self._thread = threading.Thread(target=self._work, name="build-seal")

    def adopt(self, directory: Path) -> AdoptedLayer | None:
        """Take the files of a step; `None` where there are none."""
        layer = AdoptedLayer(self._stores.layers, directory, latest=self._epoch)
        with self._lock:
            self._adopted.append(layer)
        return None if layer.empty else layer

    def seal(
        self,
        parent: Tip,
        tip: Tip,
        *,
        layer: AdoptedLayer | Digest | None,
        inputs: Inputs,
        created_by: str,
        created: int | None = None,
    ) -> Tip:
        """The tip that a step made of *parent*: *tip* with *layer* on top and a new line of history.

        A layer that is in the store and held is named by its diffID; *created* is when the step was done, if not now.
        """
        instant = (now() if created is None else created) if self._epoch is None else self._epoch
        line: dict[str, Any] = {"created": rfc3339(instant), "created_by": created_by}
        if tip.author:
            line["author"] = tip.author
        if layer is None:
            line["empty_layer"] = True
        layers, above = parent.layers, parent.above
        if isinstance(layer, Digest):
            layers, above = (*parent.sealed.result().layers, layer), ()
        elif layer is not None:
            above = (*above, layer)
        made = replace(
            tip,
            key=inputs.key(parent.key),
            sealed=Future(),
            layers=layers,
            above=above,
            history=(*parent.history, line),
        )
        self._queue.put(_Work(parent, made, layer, inputs, rfc3339(instant)))
        return made

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._queue.put(_DONE)
        self._thread.join()
        for layer in self._adopted:
            layer.close()
        self._holds.close()

    def _work(self) -> None:
        while (work := self._queue.get()) is not _DONE:
            try:
                self._seal(work)
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                work.tip.sealed.set_exception(error)

    def _seal(self, work: _Work) -> None:
        below = work.parent.sealed.result()
        layers = below.layers
        size = 0
        if work.layer is not None:
            if isinstance(work.layer, AdoptedLayer):
                diff_id = work.layer.hash(check=self._check)
                self._holds.enter_context(self._stores.images.holding({diff_id}))
                work.layer.commit(diff_id)
            else:
                diff_id = work.layer
            size = self._stores.layers.size(diff_id)
            layers = (*layers, diff_id)
        image = self._stores.images.add_image(
            work.tip.document(layers, created=work.created),
            parent=below.image,
            also=partial(self._remember, work, size),
        )
        self._holds.enter_context(self._stores.images.holding({image}))
        work.tip.sealed.set_result(Sealed(image, layers, size))

    def _remember(self, work: _Work, size: int, image: Digest) -> None:
        self._stores.cache.add(work.tip.key, work.parent.key, image, work.inputs, size=size)
