"""Which environments there are, and for whom."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from webui.accounts.models import Grant
from webui.environments.models import Environment


def environment_get(*, slug: str) -> Environment | None:
    return Environment.objects.filter(slug=slug).first()


def environments_of(user: Any) -> QuerySet[Environment]:
    """The environments in which *user* has any role."""
    if not user.is_authenticated:
        return Environment.objects.none()
    if user.is_superuser:
        return Environment.objects.all()
    grants = Grant.objects.filter(Q(user=user) | Q(team__members=user))
    if grants.filter(environment__isnull=True).exists():
        return Environment.objects.all()
    return Environment.objects.filter(grants__in=grants).distinct()
