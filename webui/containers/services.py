"""What the pages do to containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from webui import gateway
from webui.accounts import policy
from webui.environments import bulk

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

_ABREAST = 8
"""Containers that are dealt with at the same time: stopping one may take ten seconds of waiting."""


class Verb(StrEnum):
    """What can be done to one container or many."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    REMOVE = "remove"

    @property
    def action(self) -> policy.Action:
        return policy.Action(f"container.{self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """In which way it is done; what says nothing is the engine's usual way."""

    force: bool = False
    volumes: bool = False
    signal: str = "SIGKILL"
    """For a kill."""
    timeout: int | None = None
    """Seconds until a stop or a restart kills."""


def containers_act(
    *, environment: Environment, user: User, verb: Verb, containers: Sequence[str], how: How | None = None
) -> bulk.Outcome:
    """Do *verb* to each of *containers*, several at a time; one that fails does not keep the others from it."""
    policy.require(user, verb.action, environment=environment)
    way = how or How()
    outcome = bulk.each(
        environment=environment,
        names=containers,
        act=lambda client, container: _act(client, verb, container, way),
        abreast=_ABREAST,
    )
    if not outcome.failures:
        return outcome
    names = _names(environment)
    failures = tuple((names.get(container, container[:12]), reason) for container, reason in outcome.failures)
    return replace(outcome, failures=failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be different; `None` leaves it as it is."""

    name: str | None = None
    limits: gateway.Limits | None = None
    restart_policy: str | None = None
    maximum_retries: int = 0


def container_update(
    *, environment: Environment, user: User, container: gateway.ContainerDetail, changes: Changes
) -> list[str]:
    """Rename a container and change its limits and restart policy, at once where it runs; what the engine warns of."""
    policy.require(user, policy.Action.CONTAINER_UPDATE, environment=environment)
    warnings: list[str] = []
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        if changes.limits is not None or changes.restart_policy is not None:
            warnings = client.update(
                container.id,
                limits=changes.limits,
                restart_policy=changes.restart_policy or "",
                maximum_retries=changes.maximum_retries,
            )
        if changes.name is not None:
            client.rename(container.id, changes.name)
    return warnings


def _names(environment: Environment) -> dict[str, str]:
    """The name of each container by its id; none where the engine is away, which the failures say already."""
    try:
        with gateway.client(environment) as client:
            return {container.id: container.name for container in client.containers(all=True)}
    except gateway.ClientError:
        return {}


def _act(client: gateway.Client, verb: Verb, container: str, how: How) -> None:
    match verb:
        case Verb.START:
            client.start(container)
        case Verb.STOP:
            client.stop(container, timeout=how.timeout)
        case Verb.RESTART:
            client.restart(container, timeout=how.timeout)
        case Verb.KILL:
            client.kill(container, signal=how.signal)
        case Verb.PAUSE:
            client.pause(container)
        case Verb.UNPAUSE:
            client.unpause(container)
        case Verb.REMOVE:
            client.remove(container, force=how.force, volumes=how.volumes)
