"""What the job pages read."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from webui.environments.selectors import environments_of
from webui.jobs.models import Job

if TYPE_CHECKING:
    from webui.environments.models import Environment


def jobs_of(user: Any) -> QuerySet[Job]:
    """The jobs of every environment in which *user* has a role, newest first."""
    return Job.objects.filter(environment__in=environments_of(user)).select_related("environment", "created_by")


def jobs_changed(*, environment: Environment, since: dt.datetime) -> QuerySet[Job]:
    """The jobs of *environment* that were made, have begun or have ended *since*, newest first."""
    changed = Q(created_at__gte=since) | Q(started_at__gte=since) | Q(finished_at__gte=since)
    return Job.objects.filter(changed, environment=environment)
