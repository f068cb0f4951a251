"""`LogConfig` of a container's body."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from engine.api.fields import Fields
from engine.containers.logs.logfile import FILES
from engine.containers.options import UNLIMITED, ContainerConfig, LogOptions
from engine.errors import InvalidParameter

_DRIVERS: Final = ("json-file", "local", "none")
_HONOURED: Final = frozenset({"max-size", "max-file", "labels", "env", "tag"})
_IGNORED: Final = frozenset({"labels-regex", "env-regex", "compress", "mode", "max-buffer-size"})
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s?([kmgt]?)i?b?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LEAST: Final = 4096
"""Bytes of a log's file: less would be cut anew with each look at it."""


def parse(log: Fields, config: ContainerConfig, warnings: list[str]) -> LogOptions:
    """The typed options; `InvalidParameter` for a driver or an option that there is not."""
    driver = log.text("Type") or "json-file"
    if driver not in _DRIVERS:
        # Without the field's name: clients, the docker SDK's tests among them, compare the whole message.
        raise InvalidParameter(f'error looking up logging plugin {driver[:40]}: plugin "{driver[:40]}" not found')
    options = log.text_map("Config")
    for name in options:
        if name in _IGNORED:
            warnings.append(f"HostConfig.LogConfig.Config: {name} is not supported by this engine and has been ignored")
        elif name not in _HONOURED:
            raise log.refused("Config", f"unknown log opt '{name[:60]}' for {driver} log driver")
    plain = LogOptions()
    return LogOptions(
        driver=driver,
        max_size=_size(log, options["max-size"]) if "max-size" in options else plain.max_size,
        max_files=_files(log, options["max-file"]) if "max-file" in options else plain.max_files,
        attributes=_attributes(options, config),
    )


def _size(log: Fields, text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if text.strip() == "-1":
        return UNLIMITED
    if match is None:
        raise log.refused("Config", f"invalid max-size: '{text[:40]}': expected a size such as 10m")
    return max(int(Decimal(match[1]) * _UNITS[match[2].lower()]), _LEAST)


def _files(log: Fields, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= FILES:
        raise log.refused("Config", f"max-file: a number from 1 to {FILES}, got '{text[:40]}'")
    return int(text)


def _attributes(options: dict[str, str], config: ContainerConfig) -> tuple[str, ...]:
    """The labels and variables that `logs --details` is to tell, by name."""
    labels = {name.strip() for name in options.get("labels", "").split(",")}
    names = {name.strip() for name in options.get("env", "").split(",")}
    found = [f"{name}={value}" for name, value in sorted(config.labels.items()) if name in labels]
    found += [variable for variable in config.env if variable.partition("=")[0] in names]
    if tag := options.get("tag"):
        found.append(f"tag={tag}")
    return tuple(sorted(found))
