"""Ports in a container's body: `ExposedPorts` and `PortBindings` (Docker Engine API, `PortMap`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sized
from typing import Any

from engine.api.fields import Fields
from engine.errors import InvalidParameter
from engine.networks.model import PublishedPort

_PROTOCOLS = ("tcp", "udp", "sctp")
_MOST = 65535
"""Ports of one container: a short body could name billions, range upon range."""
_SPEC = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?")


def exposed(config: Fields) -> tuple[str, ...]:
    """`ExposedPorts` as `80/tcp`, ranges taken apart."""
    where = f"{config.path or 'Config'}.ExposedPorts"
    ports: list[str] = []
    for spec in config.keys("ExposedPorts"):
        first, last, protocol = _range(spec, where)
        ports.extend(f"{number}/{protocol}" for number in range(first, last + 1))
        _check_count(ports, where)
    return tuple(dict.fromkeys(ports))


def published(host: Fields) -> tuple[PublishedPort, ...]:
    """`PortBindings`: a list of host addresses and ports for each of the container's ports."""
    where = "HostConfig.PortBindings"
    bindings = host.section("PortBindings")
    ports: list[PublishedPort] = []
    for spec in bindings.names:
        first, last, protocol = _range(spec, where)
        rows = bindings.objects(spec)
        if bindings.get(spec) is not None and not rows:
            rows = (Fields({}, f"{where}.{spec}"),)
        for row in rows:
            ports += _rows(row, range(first, last + 1), protocol)
            _check_count(ports, where)
    return tuple(dict.fromkeys(ports))


def _rows(row: Fields, container_ports: range, protocol: str) -> list[PublishedPort]:
    host_ip = row.text("HostIp")
    if host_ip:
        try:
            host_ip = str(ipaddress.ip_address(host_ip.strip("[]")))
        except ValueError as error:
            raise InvalidParameter(f"{row.path}.HostIp: invalid IP address {host_ip[:60]!r}") from error
        if "%" in host_ip:
            raise InvalidParameter(f"{row.path}.HostIp: an address without a scope, got {host_ip[:60]!r}")
    text = row.text("HostPort")
    if not text or text == "0":
        return [PublishedPort(container_port=number, protocol=protocol, host_ip=host_ip) for number in container_ports]
    first, last, _ = _range(text, f"{row.path}.HostPort")
    if last - first + 1 != len(container_ports):
        if len(container_ports) == 1:
            [number] = container_ports
            return [
                PublishedPort(
                    container_port=number, protocol=protocol, host_ip=host_ip, host_port=first, host_port_last=last
                )
            ]
        raise InvalidParameter(f"{row.path}.HostPort: invalid ranges specified for container and host Ports: {text}")
    return [
        PublishedPort(container_port=number, protocol=protocol, host_ip=host_ip, host_port=first + offset)
        for offset, number in enumerate(container_ports)
    ]


def _check_count(ports: Sized, where: str) -> None:
    if len(ports) > _MOST:
        raise InvalidParameter(f"{where}: more than {_MOST} ports")


def _range(spec: Any, where: str) -> tuple[int, int, str]:
    """First and last port and the protocol of `80`, `80/tcp`, `8000-8010/udp`."""
    match = _SPEC.fullmatch(str(spec))
    if match is None:
        raise InvalidParameter(f"{where}: invalid port specification: {str(spec)[:60]!r}")
    first, last, protocol = int(match[1]), int(match[2] or match[1]), (match[3] or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidParameter(f"{where}: invalid proto: {match[3][:20]}, expected tcp, udp or sctp")
    if not 1 <= first <= last <= 65535:
        raise InvalidParameter(f"{where}: invalid port specification: {str(spec)[:60]!r}: ports are 1 to 65535")
    return first, last, protocol
