"""What changes registries, and what uses their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts import policy
from webui.registries.models import HUB, Registry
from webui.registries.secrets import Unreadable
from webui.registries.selectors import registries_of, registry_for

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

_HUB_ADDRESS = "https://index.docker.io/v1/"
"""What Docker Hub is called where one signs in to it."""


def may_edit(user: User, registry: Registry) -> bool:
    """An environment's registries belong to its administrators, those of all to administrators everywhere."""
    if registry.environment is None:
        return policy.allows_everywhere(user, policy.Action.REGISTRY_EDIT)
    return policy.allows(user, policy.Action.REGISTRY_EDIT, environment=registry.environment)


def registry_save(*, registry: Registry, user: User, password: str | None) -> Registry:
    """Keep a registry. *password* `None` leaves the one that is kept; `ValidationError` when that is another host's."""
    if not may_edit(user, registry):
        raise PermissionDenied
    if registry.pk is not None:
        # A row that was everybody's must not become one's own by an edit, nor the other way.
        before = Registry.objects.get(pk=registry.pk)
        if not may_edit(user, before):
            raise PermissionDenied
        if before.host != registry.host and password is None and registry.sealed:
            raise ValidationError(
                {"password": _("The password was given for %(host)s: type it again.") % {"host": before.host}}
            )
    if password is not None:
        registry.set_password(password)
    registry.changed_by, registry.changed_at = user, timezone.now()
    with transaction.atomic():
        registry.full_clean()
        registry.save()
    return registry


def registry_remove(*, registry: Registry, user: User) -> None:
    """Forget a registry and its password."""
    if not may_edit(user, registry):
        raise PermissionDenied
    registry.delete()


def registry_test(*, environment: Environment, user: User, registry: Registry) -> str:
    """Have the environment's engine sign in; the registry's own words, none where nobody signs in.

    `gateway.ClientError` when it refuses, or is not there.
    """
    policy.require(user, policy.Action.REGISTRY_TEST, environment=environment)
    with gateway.client(environment, timeout=30) as client:
        status = client.check_auth(_auth(registry)).status
    return status if registry.username else ""


def auth_for(*, environment: Environment, reference: str) -> gateway.Auth | None:
    """What the engine signs in with to pull or push *reference*; `None` where nothing is known of its registry.

    Only the registry that the reference itself names is looked up, and the password of a row opens for its host alone.
    """
    registry = registry_for(environment=environment, host=gateway.registry_host(reference))
    return None if registry is None or not registry.username else _auth(registry)


def reach_of(*, environment: Environment, user: User | None, reference: str = "") -> gateway.PublicOnly | None:
    """Where the engine may go for *user*: anywhere (`None`), or to public addresses and to the registries entered here.

    With a *reference*, only its own registry counts.
    """
    if policy.allows(user, policy.Action.ENVIRONMENT_REACH, environment=environment):
        return None
    entered = registries_of(environment)
    if reference:
        entered = entered.filter(host=gateway.registry_host(reference))
    return gateway.PublicOnly(registries=tuple(registry.host for registry in entered))


def auths_of(*, environment: Environment) -> tuple[gateway.Auth, ...]:
    """What the engine signs in with wherever a build's base images are; passwords that cannot be read are left out."""
    # The environment's own are the last, and win.
    by_host = {
        each.host: each for each in sorted(registries_of(environment), key=lambda each: bool(each.environment_id))
    }
    return tuple(_auth(each) for each in by_host.values() if each.username and each.readable)


def _auth(registry: Registry) -> gateway.Auth:
    try:
        password = registry.password()
    except Unreadable as error:
        raise gateway.InvalidRequest(
            _("The password for %(host)s cannot be read any more: an administrator must type it again.")
            % {"host": registry.host}
        ) from error
    address = _HUB_ADDRESS if registry.host == HUB else registry.host
    return gateway.Auth(username=registry.username, password=password, server_address=address)
