"""The engine's event bus: typed events, in order, with a bounded replay.

Services publish after their transaction has been committed. A subscriber gets every event from the moment of its
subscription, on the publisher's thread: it must hand the event on (a queue, an event loop) and return at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from engine.types import now


class Kind(StrEnum):
    """What an event is about (Docker Engine API, `EventMessage.Type`)."""

    CONTAINER = "container"
    IMAGE = "image"
    NETWORK = "network"
    VOLUME = "volume"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an object.

    `action` is Docker's word for it (`create`, `start`, `die`, `pull`, `exec_create: sh`, …), `actor` the object's id,
    `attributes` what Docker tells beside it (name, image, labels, exitCode, …), `time` nanoseconds since the epoch.
    """

    kind: Kind
    action: str
    actor: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time: int = field(default_factory=now)


class EventBus:
    """Publishes events to subscribers and remembers the last *replay* of them."""

    def __init__(self, *, replay: int = 1024) -> None:
        self._lock = threading.Lock()
        self._past: deque[Event] = deque(maxlen=replay)
        self._subscribers: dict[object, Callable[[Event], None]] = {}

    def publish(self, kind: Kind, action: str, actor: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Record an event and hand it to every subscriber, in one order for all of them."""
        with self._lock:
            event = Event(kind=kind, action=action, actor=actor, attributes=dict(attributes or {}))
            self._past.append(event)
            for deliver in tuple(self._subscribers.values()):
                deliver(event)
        return event

    def past(self, *, since: int = 0) -> tuple[Event, ...]:
        """The remembered events at or after the instant *since*, oldest first."""
        with self._lock:
            return tuple(event for event in self._past if event.time >= since)

    @contextmanager
    def subscribed(self, deliver: Callable[[Event], None], *, since: int | None = None) -> Iterator[None]:
        """Deliver events to *deliver* while the block runs, first the remembered ones from *since* on.

        Nothing is lost or told twice between the past and the present. *deliver* must neither block nor raise nor
        publish: it is called with the bus locked, which is what keeps the order.
        """
        token = object()
        with self._lock:
            if since is not None:
                for event in self._past:
                    if event.time >= since:
                        deliver(event)
            self._subscribers[token] = deliver
        try:
            yield
        finally:
            with self._lock:
                del self._subscribers[token]
