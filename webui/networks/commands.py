"""The docker command for what the pages of networks do."""

from __future__ import annotations

import shlex

from webui import gateway

_VXLAN = "com.docker.network.driver.overlay.vxlanid_list"
"""The number that the engine found for an overlay network; another network needs one of its own."""


def create_command(network: gateway.NetworkDetail) -> str:
    """The `docker network create` that would make such a network, one option a line."""
    parts = ["docker network create"]
    if network.driver != "bridge":
        parts.append(f"--driver {shlex.quote(network.driver)}")
    for pool in network.pools:
        parts.append(f"--subnet {shlex.quote(pool.subnet)}")
        if pool.ip_range:
            parts.append(f"--ip-range {shlex.quote(pool.ip_range)}")
        if pool.gateway:
            parts.append(f"--gateway {shlex.quote(pool.gateway)}")
    flags = {"--internal": network.internal, "--ipv6": network.ipv6, "--attachable": network.attachable}
    parts.extend(flag for flag, given in flags.items() if given)
    options = sorted((name, value) for name, value in network.options.items() if name != _VXLAN)
    parts.extend(f"-o {shlex.quote(f'{name}={value}')}" for name, value in options)
    parts.extend(f"--label {shlex.quote(f'{name}={value}')}" for name, value in sorted(network.labels.items()))
    return " \\\n  ".join([*parts, shlex.quote(network.name)])
