"""The filters of the list of containers (Docker Engine API, `ContainerList`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from engine.containers.model import Container, HealthStatus, Status
from engine.errors import InvalidParameter, NotFound
from engine.images.service import ImageService
from engine.types import now, parse_duration, parse_instant

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
    for key in filters:
        if key not in KEYS:
            raise InvalidParameter(f"invalid filter '{key[:60]}'")
    wanted = set(filters.get("status", ()))
    if not wanted <= _STATUSES:
        raise InvalidParameter(f"invalid filter 'status={min(wanted - _STATUSES)[:60]}'")
    if not all_states and not filters.keys() & {"status", "exited"}:
        wanted = {Status.RUNNING, Status.PAUSED, Status.RESTARTING}
    tests: list[Callable[[Container], bool]] = []
    if wanted:
        tests.append(lambda container: container.state.status in wanted)
    if ids := filters.get("id"):
        tests.append(lambda container: any(container.id.startswith(value) for value in ids))
    if names := filters.get("name"):
        tests.append(_named(names))
    if labels := filters.get("label"):
        tests.append(lambda container: all(_has_label(container, value) for value in labels))
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
    tests.extend(_has_port(key, filters[key]) for key in ("publish", "expose") if filters.get(key))
    if "volume" in filters:
        targets = set(filters["volume"])
        tests.append(lambda container: any({mount.target, mount.source} & targets for mount in container.host.mounts))
    if healths := filters.get("health"):
        if unknown := set(healths) - _HEALTHS:
            raise InvalidParameter(f"invalid filter 'health={min(unknown)[:60]}'")
        tests.append(lambda container: _health(container) in healths)
    return [container for container in containers if all(test(container) for test in tests)]


def prunable(containers: Sequence[Container], *, filters: Mapping[str, Collection[str]]) -> list[Container]:
    """Those of *containers* that do not run and that every filter of prune admits: `label`, `label!` and `until`."""
    for key in filters:
        if key not in ("label", "label!", "until"):
            raise InvalidParameter(f"invalid filter '{key[:60]}'")
    before = min((_until(value) for value in filters.get("until", ())), default=None)
    return [
        container
        for container in containers
        if container.state.status in _PRUNED
        and (before is None or container.created < before)
        and all(_has_label(container, value) for value in filters.get("label", ()))
        and not any(_has_label(container, value) for value in filters.get("label!", ()))
    ]


def _until(text: str) -> int:
    """An instant, or a duration before now such as `24h`."""
    duration = parse_duration(text)
    return now() - duration if duration is not None else parse_instant(text)


def _health(container: Container) -> str:
    health = container.state.health
    return "none" if health is None else str(health.status)


def _named(values: Collection[str]) -> Callable[[Container], bool]:
    """Docker reads a name's filter as a regular expression, and matches it with and without the slash."""
    try:
        patterns = [re.compile(value) for value in values]
    except re.error as error:
        raise InvalidParameter(f"invalid filter 'name': {error}") from error
    return lambda container: any(
        pattern.search(container.name) or pattern.search(f"/{container.name}") for pattern in patterns
    )


def _has_label(container: Container, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    found = container.config.labels.get(name)
    return found is not None and (not equals or found == wanted)


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


def _has_port(key: str, values: Collection[str]) -> Callable[[Container], bool]:
    wanted = set()
    for value in values:
        port, _, protocol = value.partition("/")
        first, _, last = port.partition("-")
        for number in range(_number(key, first), _number(key, last or first) + 1):
            wanted.add(f"{number}/{protocol or 'tcp'}")
    if key == "expose":
        return lambda container: bool(wanted & set(container.config.exposed_ports))
    return lambda container: any(f"{port.container_port}/{port.protocol}" in wanted for port in container.host.ports)


def _number(key: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 5:
        raise InvalidParameter(f"invalid filter '{key}={text[:60]}'")
    return int(text)
