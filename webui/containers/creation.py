"""What makes containers: from a form, like another one, or in the place of one that is there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts import policy
from webui.containers.reach import volume_options
from webui.gateway import create_body, recreate

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

PATIENCE: Final = 120.0
"""Seconds for a call: stopping a container takes as long as its own timeout says."""


class StartFailed(Exception):
    """The container exists, but its command could not be started. The text is the engine's."""

    def __init__(self, container_id: str, reason: str) -> None:
        super().__init__(reason)
        self.container_id = container_id


class Undone(Exception):
    """The container could not be replaced: it is as it was. The text says why, and what could not be undone."""


@dataclass(frozen=True, slots=True)
class Made:
    """A container that was made, and what the engine warned of."""

    container: gateway.ContainerDetail
    warnings: tuple[str, ...]


def container_create(*, environment: Environment, user: User, request: gateway.CreateContainer, start: bool) -> Made:
    """Create a container and start it if asked; one that was created but will not start is kept.

    `gateway.NotFound` when the image is not there, `StartFailed` when only the start failed, `policy.TooPowerful` when
    the person may not have such a container.
    """
    policy.require(user, policy.Action.CONTAINER_CREATE, environment=environment)
    with gateway.client(environment, timeout=PATIENCE) as client:
        body = create_body.body(request)
        policy.require_harmless(user, body, environment=environment, volumes=volume_options(client))
        first, others = _networks(body)
        body |= {"NetworkingConfig": {"EndpointsConfig": first}} if first else {}
        made = client.create_of(body, name=request.name)
        try:
            for network, settings in others.items():
                client.join(network, made.id, settings)
        except gateway.ClientError:
            client.remove(made.id, volumes=True)
            raise
        if start:
            try:
                client.start(made.id)
            except gateway.ClientError as error:
                raise StartFailed(made.id, str(error)) from error
        return Made(client.container(made.id), made.warnings)


def request_like(*, environment: Environment, user: User, container: str, beside: bool) -> gateway.CreateContainer:
    """The request that makes *container* again; *beside* it, without what only one of two can have."""
    policy.require(user, policy.Action.CONTAINER_INSPECT, environment=environment)
    with gateway.client(environment) as client:
        found = client.container(container)
        try:
            image: Mapping[str, Any] | None = client.image(found.image_id).raw
        except gateway.NotFound:
            image = None
    body = recreate.creation_body(found.raw, image)
    if networks := recreate.endpoints(found.raw):
        if beside:
            # An address of its own choosing can be had only once.
            networks = {
                name: {key: value for key, value in settings.items() if key != "IPAMConfig"}
                for name, settings in networks.items()
            }
        body["NetworkingConfig"] = {"EndpointsConfig": networks}
    request = recreate.request_of(body, name=found.name)
    return recreate.another(request) if beside else request


def container_recreate(
    *, environment: Environment, user: User, container: str, request: gateway.CreateContainer
) -> Made:
    """Put a container of *request* in the place of *container*, which is removed; `Undone` when that cannot be.

    The new one has the volumes of the old one, those without a name too, and runs if the old one ran. Everything that
    the engine may refuse comes before the old one is stopped.
    """
    policy.require(user, policy.Action.CONTAINER_RECREATE, environment=environment)
    with gateway.client(environment, timeout=PATIENCE) as client:
        old = client.container(container)
        if old.auto_remove and old.running:
            raise Undone(_("It is removed as soon as it ends, so nothing could be taken back. Make another like it."))
        body = create_body.body(request)
        _keep_volumes(body, recreate.volumes(old.raw))
        volumes = volume_options(client)
        policy.require_harmless(user, body, environment=environment, volumes=volumes)
        # What is replaced counts as well: its volumes go over to the new one.
        policy.require_harmless(user, old.raw, environment=environment, volumes=volumes)
        name = request.name or old.name
        first, others = _networks(body)
        body |= {"NetworkingConfig": {"EndpointsConfig": first}} if first else {}
        with ExitStack() as undo:
            try:
                aside = f"{old.name}-before-{secrets.token_hex(3)}"
                client.rename(old.id, aside)
                undo.callback(client.rename, old.id, old.name)
                made = client.create_of(body, name=name)
                undo.callback(client.remove, made.id, force=True)
                for network, settings in others.items():
                    client.join(network, made.id, settings)
                if old.running:
                    undo.callback(client.start, old.id)
                    client.stop(old.id)
                    client.start(made.id)
                result = Made(client.container(made.id), made.warnings)
            except gateway.ClientError as error:
                _undo(undo, error)
            undo.pop_all()
        return replace(result, warnings=(*result.warnings, *_put_away(client, old, aside)))


def _networks(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The network that the container begins in, and those that it is connected to afterwards, with their settings."""
    everywhere = (body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig") or {}
    mode = body["HostConfig"].get("NetworkMode")
    if mode in ("host", "none") or str(mode).startswith("container:"):
        return {}, {}
    first = {mode: everywhere[mode]} if everywhere.get(mode) else {}
    return first, {name: settings for name, settings in everywhere.items() if name != mode}


def _keep_volumes(body: dict[str, Any], volumes: Mapping[str, str]) -> None:
    host = body["HostConfig"]
    taken = {bind.split(":")[1] for bind in host["Binds"]} | {mount["Target"] for mount in host.get("Mounts") or ()}
    kept = [
        {"Type": "volume", "Source": name, "Target": place} for place, name in volumes.items() if place not in taken
    ]
    if kept:
        host["Mounts"] = [*(host.get("Mounts") or ()), *kept]


def _undo(undo: ExitStack, error: gateway.ClientError) -> None:
    """Take back what was done, the last first, and raise `Undone`."""
    words = _("Nothing has changed, the container is as it was: %(reason)s") % {"reason": error}
    try:
        undo.close()
    except gateway.ClientError as further:
        words = _("%(reason)s. Taking it back failed as well: %(further)s") % {"reason": error, "further": further}
    raise Undone(words) from error


def _put_away(client: gateway.Client, old: gateway.ContainerDetail, aside: str) -> tuple[str, ...]:
    try:
        client.remove(old.id)
    except gateway.NotFound:
        return ()  # it was to be removed when it ended
    except gateway.ClientError as error:
        return (_("The container before is still there, as %(name)s: %(reason)s") % {"name": aside, "reason": error},)
    return ()
