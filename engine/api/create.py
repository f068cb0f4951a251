"""The body of `POST /containers/create`, parsed once at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.api import create_config, create_host
from engine.api.fields import Fields, canonical
from engine.containers.options import ContainerConfig, HostConfig
from engine.errors import InvalidParameter, NotImplementedHere
from engine.kernel import cgroup

_PARTS: Final = frozenset({"hostconfig", "networkingconfig"})
_KNOWN: Final = {name.lower() for name in (*create_config.DEFAULTS, *create_config.OPTIONAL)} | _PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What is to be created, typed, and as inspect will echo it."""

    config: ContainerConfig
    host: HostConfig
    raw_config: Mapping[str, Any]
    raw_host_config: Mapping[str, Any]
    warnings: tuple[str, ...]


def parse(body: Fields, raw: Mapping[str, Any]) -> CreateRequest:
    """*body* and *raw* are the same document. `InvalidParameter` and `NotImplementedHere` name the field."""
    if not body.names:
        raise InvalidParameter("Config cannot be empty in order to create a container")
    warnings: list[str] = []
    config = create_config.parse(body)
    if not config.image:
        raise InvalidParameter("Image: no image given, name the image to create the container from")
    host_fields = body.section("HostConfig")
    host = create_host.parse(host_fields, config, warnings)
    mac_address = _networking(body.section("NetworkingConfig"), host.network_mode)
    if mac_address and config.mac_address not in ("", mac_address):
        raise InvalidParameter("MacAddress: the container-wide address and the network's own must be the same")
    config = replace(config, mac_address=config.mac_address or mac_address)
    warnings += [
        f"{name[:60]} is not known to this engine and has been ignored"
        for name in body.names
        if name.lower() not in _KNOWN and body.get(name)
    ]
    plain = {name: value for name, value in raw.items() if name.lower() not in _PARTS}
    raw_host = canonical(body.get("HostConfig") or {}, create_host.DEFAULTS)
    return CreateRequest(
        config=config,
        host=host,
        raw_config=canonical(plain, create_config.DEFAULTS),
        raw_host_config=raw_host | _settled(host, raw_host),
        warnings=tuple(warnings),
    )


def _settled(host: HostConfig, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What Docker fills in for words that mean "the default"."""
    log = raw["LogConfig"]
    policy = raw["RestartPolicy"]
    return {
        "ShmSize": host.shm_size,
        "NetworkMode": host.network_mode,
        "Runtime": raw["Runtime"] or "runc",
        "IpcMode": host.ipc_mode,
        "CgroupnsMode": host.cgroupns_mode or ("private" if cgroup.version() == 2 else "host"),
        "LogConfig": {"Type": log.get("Type") or "json-file", "Config": log.get("Config") or {}},
        "RestartPolicy": {
            "Name": policy.get("Name") or "no",
            "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
        },
    }


def _networking(networking: Fields, mode: str) -> str:
    """`NetworkingConfig` may name the container's one network in this engine; the MAC address that it asks for."""
    mac_address = ""
    endpoints = networking.section("EndpointsConfig")
    names = {"bridge" if name == "default" else name for name in endpoints.names}
    if names - {"bridge" if mode == "default" else mode}:
        raise NotImplementedHere(
            f"NetworkingConfig.EndpointsConfig: a container joins one network ({mode}), "
            f"not {', '.join(sorted(names))[:200]}"
        )
    for name in endpoints.names:
        endpoint = endpoints.section(name)
        mac_address = endpoint.text("MacAddress")
        for field in ("IPAMConfig", "Links", "Aliases", "DriverOpts"):
            value = endpoint.get(field)
            if value and not (isinstance(value, dict) and not any(value.values())):
                raise NotImplementedHere(
                    f"{endpoint.path}.{field}: not supported by this engine yet (user-defined networks come later)"
                )
    return mac_address
