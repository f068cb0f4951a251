"""The filters of the list of containers (Docker Engine API, `ContainerList`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from engine.containers.model import Container, Status
from engine.errors import InvalidParameter, NotFound
from engine.images.service import ImageService

KEYS: Final = frozenset(
    {"ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish"}
    | {"since", "status", "volume"}
)
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
        tests.append(lambda container: _network(container) in networks)
    tests.extend(_has_port(key, filters[key]) for key in ("publish", "expose") if filters.get(key))
    if "volume" in filters:
        targets = set(filters["volume"])
        tests.append(lambda container: any({bind.target, bind.source} & targets for bind in container.host.binds))
    if healths := filters.get("health"):
        tests.append(lambda _: "none" in healths)
    return [container for container in containers if all(test(container) for test in tests)]


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


def _network(container: Container) -> str:
    mode = container.host.network_mode
    return "bridge" if mode == "default" else mode


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
