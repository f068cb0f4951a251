"""The JSON of an image's config, parsed into values (OCI image-spec, config.md).

It comes from strangers: everything is checked for its type before it is believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import InvalidParameter
from engine.images.model import HealthCheck, HistoryEntry, ImageConfig
from engine.types import Digest, Platform, parse_rfc3339, well_formed

_PORT: Final = re.compile(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")
_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedConfig:
    """What an image's config says."""

    platform: Platform
    config: ImageConfig
    created: int | None
    diff_ids: tuple[Digest, ...]
    history: tuple[HistoryEntry, ...]
    author: str
    comment: str
    docker_version: str


def parse_config(data: bytes) -> ParsedConfig:
    """The config that *data* holds; `InvalidParameter` when it is none."""
    try:
        document = json.loads(data)
        if b"\\u" in data:
            document = json.loads(well_formed(json.dumps(document, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"malformed image config: {error}") from error
    document = _mapping(document, "the document")
    rootfs = _mapping(document.get("rootfs"), "rootfs")
    if rootfs.get("type") != "layers":
        raise InvalidParameter(f"malformed image config: rootfs type {str(rootfs.get('type'))[:40]!r}")
    return ParsedConfig(
        platform=Platform(
            os=_text(document, "os"),
            architecture=_text(document, "architecture"),
            variant=_text(document, "variant"),
        ),
        config=_defaults(_mapping(document.get("config") or {}, "config")),
        created=_instant(_text(document, "created")),
        diff_ids=tuple(Digest.parse(text) for text in _texts(rootfs.get("diff_ids") or [], "diff_ids")),
        history=tuple(
            _history_entry(_mapping(entry, "history")) for entry in _list(document.get("history") or [], "history")
        ),
        author=_text(document, "author"),
        comment=_text(document, "comment"),
        docker_version=_text(document, "docker_version"),
    )


def _defaults(config: Mapping[str, Any]) -> ImageConfig:
    labels = _mapping(config.get("Labels") or {}, "Labels")
    return ImageConfig(
        user=_text(config, "User"),
        exposed_ports=_ports(_mapping(config.get("ExposedPorts") or {}, "ExposedPorts")),
        env=_texts(config.get("Env") or [], "Env"),
        entrypoint=_command(config.get("Entrypoint"), "Entrypoint"),
        cmd=_command(config.get("Cmd"), "Cmd"),
        volumes=tuple(_mapping(config.get("Volumes") or {}, "Volumes")),
        working_dir=_text(config, "WorkingDir"),
        labels=dict(zip(labels, _texts(list(labels.values()), "Labels"), strict=True)),
        stop_signal=_text(config, "StopSignal"),
        health=_health(_mapping(config.get("Healthcheck") or {}, "Healthcheck")),
        shell=_texts(config.get("Shell") or [], "Shell"),
    )


def _ports(exposed: Iterable[str]) -> tuple[str, ...]:
    """The ports as `80/tcp`. What is none is left out: nobody can publish it, and dockerd does not mind it either."""
    found = (_PORT.fullmatch(text) for text in exposed)
    return tuple(
        dict.fromkeys(f"{int(port[1])}/{port[2] or 'tcp'}" for port in found if port and 0 < int(port[1]) <= _LAST_PORT)
    )


def _health(check: Mapping[str, Any]) -> HealthCheck:
    """Docker's addition to the specification: durations are nanoseconds."""
    return HealthCheck(
        test=_texts(check.get("Test") or [], "Healthcheck.Test"),
        interval=_number(check, "Interval"),
        timeout=_number(check, "Timeout"),
        start_period=_number(check, "StartPeriod"),
        start_interval=_number(check, "StartInterval"),
        retries=_number(check, "Retries"),
    )


def _history_entry(entry: Mapping[str, Any]) -> HistoryEntry:
    return HistoryEntry(
        created=_instant(_text(entry, "created")),
        created_by=_text(entry, "created_by"),
        author=_text(entry, "author"),
        comment=_text(entry, "comment"),
        empty_layer=bool(entry.get("empty_layer", False)),
    )


def _instant(text: str) -> int | None:
    """The time that *text* names; a date that cannot be read is no reason to refuse an image."""
    try:
        return parse_rfc3339(text)
    except InvalidParameter:
        return None


def _command(value: object, what: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    return (value,) if isinstance(value, str) else _texts(value, what)


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidParameter(f"malformed image config: {key} is no text")
    return value


def _number(mapping: Mapping[str, Any], key: str) -> int:
    value = mapping.get(key) or 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidParameter(f"malformed image config: {key} is no number")
    return value


def _texts(value: object, what: str) -> tuple[str, ...]:
    texts = tuple(_list(value, what))
    if not all(isinstance(text, str) for text in texts):
        raise InvalidParameter(f"malformed image config: {what} is no list of texts")
    return texts


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidParameter(f"malformed image config: {what} is no list")
    return value


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidParameter(f"malformed image config: {what} is no JSON object")
    return value
