from __future__ import annotations

from celery import shared_task

from webui.builds import logs
from webui.builds.secrets import secrets_sweep
from webui.jobs.models import Job, JobKind


@shared_task(name="builds.sweep-logs", ignore_result=True)
def sweep_logs() -> int:
    """Remove the output of builds that nobody can look at any more, and old secrets; beat calls it every hour."""
    secrets_sweep()
    return logs.sweep({str(pk) for pk in Job.objects.filter(kind=JobKind.BUILD).values_list("pk", flat=True)})
