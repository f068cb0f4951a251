"""The body of `POST /containers/create` without its HostConfig (Docker Engine API, `ContainerConfig`)."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.api import create_mounts, create_ports
from engine.api.fields import Fields
from engine.containers.options import ContainerConfig
from engine.images.model import HealthCheck

_MAC_ADDRESS: Final = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}")

DEFAULTS: Final[dict[str, Any]] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}
"""What inspect shows where the body says nothing."""

OPTIONAL: Final = frozenset(
    {
        "ExposedPorts",
        "StopSignal",
        "StopTimeout",
        "Healthcheck",
        "Shell",
        "MacAddress",
        "NetworkDisabled",
        "ArgsEscaped",
    }
)
"""Further fields, left out of inspect where the body has none."""


def parse(body: Fields) -> ContainerConfig:
    """The typed config; what cannot be honoured is an error, and so is a wrong type of what is only kept."""
    body.texts("OnBuild")
    body.flag("ArgsEscaped")
    return ContainerConfig(
        image=body.text("Image"),
        cmd=body.words("Cmd") or None,
        entrypoint=_entrypoint(body),
        env=body.texts("Env"),
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        hostname=_host_name(body, "Hostname"),
        domainname=_host_name(body, "Domainname"),
        tty=body.flag("Tty"),
        open_stdin=body.flag("OpenStdin"),
        stdin_once=body.flag("StdinOnce"),
        attach_stdin=body.flag("AttachStdin"),
        attach_stdout=body.flag("AttachStdout"),
        attach_stderr=body.flag("AttachStderr"),
        labels=body.text_map("Labels"),
        exposed_ports=create_ports.exposed(body),
        volumes=create_mounts.anonymous(body),
        health=_health(body.section("Healthcheck")),
        shell=body.words("Shell") or (),
        mac_address=mac_address(body),
        network_disabled=body.flag("NetworkDisabled"),
        stop_signal=body.text("StopSignal"),
        stop_timeout=body.optional_integer("StopTimeout"),
    )


def mac_address(body: Fields) -> str:
    """`MacAddress`: six pairs of hexadecimal digits, or nothing."""
    text = body.text("MacAddress")
    if text and not _MAC_ADDRESS.fullmatch(text):
        raise body.refused("MacAddress", f"invalid MAC address: {text[:60]!r}")
    return text


def _host_name(body: Fields, name: str) -> str:
    """A word of a line in /etc/hosts."""
    text = body.text(name)
    if text and text.split() != [text]:
        raise body.refused(name, f"a name without spaces, got {text[:80]!r}")
    return text


def _health(check: Fields) -> HealthCheck:
    return HealthCheck(
        test=check.texts("Test"),
        interval=check.integer("Interval"),
        timeout=check.integer("Timeout"),
        start_period=check.integer("StartPeriod"),
        start_interval=check.integer("StartInterval"),
        retries=check.integer("Retries"),
    )


def _entrypoint(body: Fields) -> tuple[str, ...] | None:
    """`[""]` is how the CLI says `--entrypoint=""`: none at all, not even the image's."""
    entrypoint = body.words("Entrypoint")
    if entrypoint == ("",):
        return ()
    return entrypoint or None
