"""Reaching into a container: a shell in it, its files. Whoever does that may do whatever the container may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webui import gateway
from webui.accounts import policy

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment


def container_reached(
    *, environment: Environment, user: User, action: policy.Action, container: str
) -> gateway.ContainerDetail:
    """The container, after the policy said yes to *action* and to what the container could do to its host.

    `policy.TooPowerful`, and `gateway.NotFound`.
    """
    policy.require(user, action, environment=environment)
    with gateway.client(environment) as client:
        found = client.container(container)
        policy.require_harmless(user, found.raw, environment=environment, volumes=volume_options(client))
    return found


def volume_options(client: gateway.Client) -> dict[str, Mapping[str, str]]:
    """The options of the engine's volumes, which the policy asks for: some lead to the host's files."""
    return {volume.name: volume.options for volume in client.volumes() if volume.options}
