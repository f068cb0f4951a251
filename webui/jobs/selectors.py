"""What the job pages read."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from webui.environments.selectors import environments_of
from webui.jobs.models import ACTIVE, Job

if TYPE_CHECKING:
    from webui.environments.models import Environment


def jobs_of(user: Any) -> QuerySet[Job]:
    """The jobs of every environment in which *user* has a role, newest first."""
    return Job.objects.filter(environment__in=environments_of(user)).select_related("environment", "created_by")


def jobs_moving(*, environment: Environment, since: dt.datetime) -> QuerySet[Job]:
    """The jobs of *environment* that wait or run, and those that have ended *since*."""
    return Job.objects.filter(Q(finished_at__gte=since) | Q(state__in=ACTIVE), environment=environment)
