"""Which registries an environment has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from webui.registries.models import Registry

if TYPE_CHECKING:
    from webui.environments.models import Environment


def registries_of(environment: Environment) -> QuerySet[Registry]:
    """The environment's own and those of all environments, by host."""
    return Registry.objects.filter(Q(environment=environment) | Q(environment__isnull=True))


def registry_for(*, environment: Environment, host: str) -> Registry | None:
    """The one whose password goes to *host*: the environment's own before that of all."""
    found = {registry.environment_id: registry for registry in registries_of(environment).filter(host=host)}
    return found.get(environment.pk) or found.get(None)
