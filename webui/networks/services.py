"""What the pages do to networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from webui import gateway
from webui.accounts import policy
from webui.environments import bulk
from webui.networks.selectors import host_routes

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment


def network_create(*, environment: Environment, user: User, request: gateway.CreateNetwork) -> str:
    """Make a network; its id. `policy.TooPowerful` for one that reaches into the host's own surroundings."""
    policy.require(user, policy.Action.NETWORK_CREATE, environment=environment)
    subnets = [pool.subnet for pool in request.pools]
    routed = host_routes(environment=environment) if subnets else {}
    policy.require_harmless_network(
        user, request.driver, request.options, subnets, routed=routed, environment=environment
    )
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        return client.create_network(request)


def network_connect(
    *,
    environment: Environment,
    user: User,
    network: str,
    container: str,
    aliases: tuple[str, ...] = (),
    ipv4: str = "",
    ipv6: str = "",
) -> None:
    """Give a container a place in a network, at once where it runs."""
    policy.require(user, policy.Action.NETWORK_CONNECT, environment=environment)
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        client.connect(network, container, aliases=aliases, ipv4=ipv4, ipv6=ipv6)


def network_disconnect(*, environment: Environment, user: User, network: str, container: str) -> None:
    """Take a container out of a network, at once where it runs."""
    policy.require(user, policy.Action.NETWORK_CONNECT, environment=environment)
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        client.disconnect(network, container)


def networks_remove(
    *, environment: Environment, user: User, networks: Sequence[str], disconnect: bool = False
) -> bulk.Outcome:
    """Remove networks; with *disconnect*, the containers in them leave first."""
    policy.require(user, policy.Action.NETWORK_REMOVE, environment=environment)
    if disconnect:
        policy.require(user, policy.Action.NETWORK_CONNECT, environment=environment)

    def remove(client: gateway.Client, network: str) -> None:
        found = client.network(network)
        if disconnect and not found.predefined:
            for member in found.members:
                client.disconnect(found.id, member.container_id)
        client.remove_network(found.id)

    return bulk.each(environment=environment, names=networks, act=remove)


def networks_prune(*, environment: Environment, user: User) -> tuple[str, ...]:
    """Remove the networks that no container is in; their names."""
    policy.require(user, policy.Action.NETWORK_PRUNE, environment=environment)
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        return client.prune_networks()
