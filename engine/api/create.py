"""The body of `POST /containers/create`, parsed once at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.api import create_config, create_host, create_networks
from engine.api.fields import Fields, canonical
from engine.containers.options import ContainerConfig, HostConfig
from engine.errors import InvalidParameter
from engine.kernel import cgroup
from engine.networks.model import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What is to be created, typed, and as inspect will echo it."""

    config: ContainerConfig
    host: HostConfig
    attachments: tuple[Attachment, ...]
    raw_config: Mapping[str, Any]
    raw_host_config: Mapping[str, Any]
    warnings: tuple[str, ...]


def parse(body: Fields) -> CreateRequest:
    """The request in *body*. `InvalidParameter` and `NotImplementedHere` name the field."""
    if not body.names:
        raise InvalidParameter("Config cannot be empty in order to create a container")
    warnings: list[str] = []
    config = create_config.parse(body)
    if not config.image:
        raise InvalidParameter("Image: no image given, name the image to create the container from")
    host_fields = body.section("HostConfig")
    host = create_host.parse(host_fields, config, warnings)
    networking = body.section("NetworkingConfig")
    if config.network_disabled and networking.section("EndpointsConfig").names:
        raise body.refused("NetworkDisabled", "leaves no network to be in (NetworkingConfig.EndpointsConfig)")
    attachments = create_networks.attachments(
        networking, mode=host.network_mode, mac=config.mac_address, links=host.links
    )
    warnings += [f"{place} is not known to this engine and has been ignored" for place in body.unread()]
    raw_host = canonical(host_fields.document, create_host.DEFAULTS, create_host.OPTIONAL)
    return CreateRequest(
        config=config,
        host=host,
        attachments=() if config.network_disabled else attachments,
        raw_config=canonical(body.document, create_config.DEFAULTS, create_config.OPTIONAL),
        raw_host_config=raw_host | _settled(host, host_fields),
        warnings=tuple(warnings),
    )


def _settled(host: HostConfig, asked: Fields) -> dict[str, Any]:
    """What Docker fills in for words that mean "the default"."""
    options = list(asked.texts("SecurityOpt"))
    if (host.privileged or "host" in (host.ipc_mode, host.pid_mode)) and not any("label" in each for each in options):
        options.append("label=disable")
    return {
        "SecurityOpt": options or None,
        "ShmSize": host.shm_size,
        "NetworkMode": host.network_mode,
        "Runtime": asked.text("Runtime") or "runc",
        "IpcMode": host.ipc_mode,
        "CgroupnsMode": host.cgroupns_mode or ("private" if cgroup.version() == 2 else "host"),
        "LogConfig": {"Type": host.log.driver, "Config": asked.section("LogConfig").text_map("Config")},
        "RestartPolicy": {"Name": str(host.restart.name), "MaximumRetryCount": host.restart.maximum_retries},
    }
