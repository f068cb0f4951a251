"""The body of `POST /containers/create` without its HostConfig (Docker Engine API, `ContainerConfig`)."""

from __future__ import annotations

from typing import Any, Final

from engine.api import create_mounts, create_ports
from engine.api.fields import Fields
from engine.containers.options import ContainerConfig
from engine.errors import NotImplementedHere
from engine.images.model import HealthCheck

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
    """The typed config; what cannot be honoured is an error."""
    if body.flag("NetworkDisabled"):
        raise NotImplementedHere('NetworkDisabled is not supported: use HostConfig.NetworkMode "none"')
    return ContainerConfig(
        image=body.text("Image"),
        cmd=body.optional_texts("Cmd") or None,
        entrypoint=_entrypoint(body),
        env=body.texts("Env"),
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        hostname=body.text("Hostname"),
        domainname=body.text("Domainname"),
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
        shell=body.texts("Shell"),
        mac_address=body.text("MacAddress"),
        stop_signal=body.text("StopSignal"),
        stop_timeout=body.optional_integer("StopTimeout"),
    )


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
    entrypoint = body.optional_texts("Entrypoint")
    if entrypoint == ("",):
        return ()
    return entrypoint or None
