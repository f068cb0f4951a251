"""What the dashboard shows: counts, host, what needs attention, what happened lately."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from webui import gateway
from webui.jobs.models import Job, JobState

if TYPE_CHECKING:
    from webui.environments.models import Environment

LATELY = dt.timedelta(hours=24)
MOST_EVENTS = 12
_DULL = ("exec_", "top", "resize", "attach", "archive-path")
_OF_NETWORKS = ("connect", "disconnect")


@dataclass(slots=True)
class Happening:
    """What something did last, and how often within the day."""

    kind: str
    name: str
    action: str
    time: dt.datetime
    times: int = 1


@dataclass(frozen=True, slots=True)
class Overview:
    info: gateway.HostInfo
    images: int
    """As many as the list of images shows; the engine's own count has those that lie between the steps of builds."""
    version: gateway.VersionInfo
    troubled: Sequence[gateway.ContainerSummary]
    """Restarting, dead, unhealthy, or ended with an error or for want of memory."""
    failed_jobs: Sequence[Job]
    running: Sequence[gateway.ContainerSummary]
    events: Sequence[Happening]


def overview(*, environment: Environment) -> Overview:
    """Everything on the dashboard of *environment*; `gateway.ClientError` when it does not answer."""
    since = timezone.now() - LATELY
    with gateway.client(environment) as client:
        containers = client.containers(all=True)
        info, version, images = client.info(), client.version(), len(client.images())
        events = client.past_events(since=since)
    short_of_memory = {event.actor for event in events if event.action == "oom"}
    return Overview(
        info=info,
        images=images,
        version=version,
        troubled=[container for container in containers if _troubled(container, short_of_memory)],
        failed_jobs=Job.objects.filter(environment=environment, state=JobState.FAILED, finished_at__gt=since)[:5],
        running=[container for container in containers if container.state == "running"][:8],
        events=_told(events),
    )


def _told(events: Sequence[gateway.Event]) -> list[Happening]:
    """The newest first. What the same thing did again is counted; networks hear of every start and end as well."""
    found: dict[tuple[str, str, str], Happening] = {}
    for event in reversed(events):
        if event.action.startswith(_DULL) or event.action in _OF_NETWORKS:
            continue
        key = (event.kind, event.actor, event.action)
        if key in found:
            found[key].times += 1
        elif len(found) < MOST_EVENTS:
            found[key] = Happening(event.kind, event.name, event.action, event.time)
    return list(found.values())


def _troubled(container: gateway.ContainerSummary, short_of_memory: Collection[str]) -> bool:
    if container.state in ("restarting", "dead") or container.health == "unhealthy":
        return True
    if container.state != "exited":
        return False
    # Of those that a signal ended, most were stopped by somebody; those that the kernel killed were not.
    stopped = container.status.startswith(("Exited (0)", "Exited (137)", "Exited (143)"))
    return not stopped or container.id in short_of_memory
