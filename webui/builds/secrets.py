"""Secrets of builds: kept with a job until it has succeeded, found again when the job is tried again."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from webui.builds.models import BuildSecrets
from webui.jobs.models import Job
from webui.jobs.runners import JobFailed
from webui.sealing import Unreadable

if TYPE_CHECKING:
    from webui.accounts.models import User

KEPT = dt.timedelta(days=1)
"""How long a build that failed or was cancelled can be tried again without typing its secrets anew."""


def secrets_keep(*, job: Job, user: User, secrets: dict[str, str]) -> None:
    """Keep what `job` shall build with; nothing where there is nothing."""
    if secrets:
        row = BuildSecrets(job=job, given_by=user)
        row.close(secrets)
        row.save()


def secrets_of(job: Job) -> dict[str, str]:
    """The secrets to build with; `JobFailed` with what to do where they are not there any more.

    A job that is another's second try takes them from that, in the hands of the same person.
    """
    if not job.parameters.get("secrets") and not job.parameters.get("ssh"):
        return {}
    first: Job | None = job
    while first is not None and not hasattr(first, "build_secrets"):
        first = first.retry_of
    if first is None:
        raise JobFailed(_("Its secrets are not kept any more: begin a new build like this one and type them again."))
    row = first.build_secrets
    if row.given_by_id != job.created_by_id:
        raise JobFailed(_("Its secrets are another person's: begin a new build like this one and type your own."))
    try:
        return row.opened()
    except Unreadable as error:
        raise JobFailed(_("Its secrets cannot be read any more: begin a new build and type them again.")) from error


def secrets_forget(*, job: Job) -> None:
    """Forget those of *job*, which has succeeded, and of those whose second try it is."""
    tries = []
    current: Job | None = job
    while current is not None:
        tries.append(current.pk)
        current = current.retry_of
    BuildSecrets.objects.filter(job__in=tries).delete()


def secrets_sweep(*, now: dt.datetime | None = None) -> int:
    """Forget those of builds that have ended and that nobody has tried again for `KEPT`; of how many."""
    before = (now or timezone.now()) - KEPT
    ended = BuildSecrets.objects.filter(job__finished_at__lt=before)
    in_use = Job.objects.active().filter(retry_of__in=ended.values("job"))
    count, _rows = ended.exclude(job__in=in_use.values("retry_of")).delete()
    return count
