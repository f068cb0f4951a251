"""What the job pages read."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from webui.environments.selectors import environments_of
from webui.jobs.models import Job


def jobs_of(user: Any) -> QuerySet[Job]:
    """The jobs of every environment in which *user* has a role, newest first."""
    return Job.objects.filter(environment__in=environments_of(user)).select_related("environment", "created_by")
