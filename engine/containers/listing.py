"""The filters of the list of containers (Docker Engine API, `ContainerList`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from engine.containers.model import Container, HealthStatus, Status
from engine.errors import InvalidParameter, NotFound
from engine.filters import labelled, named, require_known
from engine.images.service import ImageService
from engine.types import parse_until

KEYS: Final = frozenset(
    {"ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish"}
    | {"since", "status", "volume"}
)
_HEALTHS: Final = frozenset({"none", *(status.value for status in HealthStatus)})
_PRUNED: Final = (Status.CREATED, Status.EXITED, Status.DEAD)
_STATUSES: Final = frozenset(status.value for status in Status)


def filtered(
    containers: Sequence[Container],
    *,
    filters: Mapping[str, Collection[str]],
    all_states: bool,
    find: Callable[[str], Container],
    images: ImageService,
) -> list[Container]:
    """Those of *containers* that every filter admits; a filter admits what any of its values does, labels all of them.

    `InvalidParameter` in Docker's words for an unknown filter or value.
    """
    require_known(filters, KEYS)
    wanted = set(filters.get("status", ()))
    if not wanted <= _STATUSES:
        raise InvalidParameter(f"invalid filter 'status={min(wanted - _STATUSES)[:60]}'")
    if not all_states and not filters.get("status"):
        wanted = {Status.RUNNING, Status.PAUSED, Status.RESTARTING}
    tests: list[Callable[[Container], bool]] = []
    if wanted:
        tests.append(lambda container: container.state.status in wanted)
    if ids := filters.get("id"):
        tests.append(lambda container: any(container.id.startswith(value) for value in ids))
    if names := filters.get("name"):
        tests.append(_named(names))
    if filters.get("label"):
        tests.append(lambda container: labelled(container.config.labels, filters))
    if codes := filters.get("exited"):
        numbers = {_number("exited", value) for value in codes}
        tests.append(
            lambda container: (
                container.state.exit_code in numbers
                and container.state.started_at is not None
                and not container.state.running
            )
        )
    if ancestors := filters.get("ancestor"):
        tests.append(_descends(ancestors, images))
    for key in ("before", "since"):
        tests.extend(_age(key, find(value)) for value in filters.get(key, ()))
    if networks := filters.get("network"):
        tests.append(lambda container: any(_is_in(container, network) for network in networks))
    if exposed := filters.get("expose"):
        ports = _ports("expose", exposed)
        tests.append(lambda container: not ports.isdisjoint(container.config.exposed_ports))
    if published := filters.get("publish"):
        tests.append(_publishes(_ports("publish", published), find))
    if filters.get("is-task"):
        # No container is a task of a swarm here.
        swarm = {_truth("is-task", value) for value in filters["is-task"]} == {True}
        tests.append(lambda _: not swarm)
    if "volume" in filters:
        targets = set(filters["volume"])
        tests.append(lambda container: any({mount.target, mount.source} & targets for mount in container.host.mounts))
    if healths := filters.get("health"):
        if unknown := set(healths) - _HEALTHS:
            raise InvalidParameter(f"Unrecognised filter value for health: {min(unknown)[:60]}")
        tests.append(lambda container: _health(container) in healths)
    return [container for container in containers if all(test(container) for test in tests)]


def prunable(containers: Sequence[Container], *, filters: Mapping[str, Collection[str]]) -> list[Container]:
    """Those of *containers* that do not run and that every filter of prune admits: `label`, `label!` and `until`."""
    require_known(filters, ("label", "label!", "until"))
    before = min((parse_until(value) for value in filters.get("until", ())), default=None)
    return [
        container
        for container in containers
        if container.state.status in _PRUNED
        and (before is None or container.created < before)
        and labelled(container.config.labels, filters)
    ]


def _health(container: Container) -> str:
    health = container.state.health
    return "none" if health is None else str(health.status)


def _named(values: Collection[str]) -> Callable[[Container], bool]:
    """A name's filter is matched with and without the slash."""
    matches = named(values)
    return lambda container: matches(container.name) or matches(f"/{container.name}")


def _descends(values: Collection[str], images: ImageService) -> Callable[[Container], bool]:
    ids = set()
    for value in values:
        try:
            ids.add(images.get(value).id)
        except NotFound:
            continue  # no image, no descendants
    return lambda container: container.image in ids


def _age(key: str, other: Container) -> Callable[[Container], bool]:
    if key == "before":
        return lambda container: container.created < other.created
    return lambda container: container.created > other.created


def _is_in(container: Container, network: str) -> bool:
    """Whether a container asks for the network of that name, or of an id that begins so."""
    return any(
        network == asked.network or (network and asked.network_id.startswith(network))
        for asked in container.attachments
    )


def _ports(key: str, values: Collection[str]) -> set[str]:
    """Ports such as `80`, `80/udp`, `8000-8010/tcp`, each as `80/tcp`."""
    wanted: set[str] = set()
    for value in values:
        port, _, protocol = value.partition("/")
        first, _, last = port.partition("-")
        numbers = range(_number(key, first), _number(key, last or first) + 1)
        wanted.update(f"{number}/{protocol or 'tcp'}" for number in numbers)
    return wanted


def _publishes(wanted: set[str], find: Callable[[str], Container]) -> Callable[[Container], bool]:
    """Whether one of the host's ports *wanted* leads to a container now."""

    def test(container: Container) -> bool:
        try:
            sandbox = find(container.id).sandbox
        except NotFound:
            return False  # removed meanwhile
        return sandbox is not None and any(f"{port.host_port}/{port.protocol}" in wanted for port in sandbox.ports)

    return test


def _truth(key: str, text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidParameter(f"invalid filter '{key}={text[:60]}'")


def _number(key: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise InvalidParameter(f"invalid filter '{key}={text[:60]}'")
    return int(text)
