"""What changes a job. Only these functions write its state, and each tells the pages after the commit."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webui.jobs.models import TRANSITIONS, Job, JobKind, JobState
from webui.live import publish

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

SILENCE = dt.timedelta(seconds=60)
"""A running job that nobody has heard of for so long has lost its worker."""

KEPT = dt.timedelta(days=90)
"""How long an ended job stays in the list."""


class IllegalTransition(Exception):
    """The job has ended, or is not where the change begins."""


class TooManyJobs(ValidationError):
    """The person has as many jobs waiting and running as one may."""


def job_start(
    *,
    kind: JobKind,
    environment: Environment,
    user: User,
    subject: str,
    parameters: dict[str, Any],
    retry_of: Job | None = None,
) -> Job:
    """Queue a job; a worker takes it as soon as the transaction is committed. `TooManyJobs` of the same person."""
    with transaction.atomic():
        _require_place(user)
        job = Job.objects.create(
            kind=kind,
            environment=environment,
            created_by=user,
            subject=subject,
            parameters=parameters,
            retry_of=retry_of,
        )
        transaction.on_commit(lambda: _enqueue(job))
    publish.job_changed(job)
    return job


def job_retry(*, job: Job, user: User) -> Job:
    """The same work once more, as a new job in the name of *user*."""
    if not job.can_be_retried:
        raise IllegalTransition(_("Only a job that failed or was cancelled can be tried again."))
    return job_start(
        kind=JobKind(job.kind),
        environment=job.environment,
        user=user,
        subject=job.subject,
        parameters=job.parameters,
        retry_of=job,
    )


def job_cancel(*, job: Job, user: User) -> Job:
    """End a job now: a queued one never starts, a running one is told by its row to stop."""
    return _move(job, JobState.CANCELLED, cancelled_by=user, message=_("Cancelled by %(name)s.") % {"name": user})


def job_begin(*, job: Job) -> Job:
    return _move(job, JobState.RUNNING, started_at=job.started_at or timezone.now(), seen_at=timezone.now())


def job_succeed(*, job: Job, message: str, progress: dict[str, Any]) -> Job:
    return _move(job, JobState.SUCCEEDED, message=message, progress=progress)


def job_fail(*, job: Job, message: str, progress: dict[str, Any] | None = None) -> Job:
    changes: dict[str, Any] = {"message": message}
    if progress is not None:
        changes["progress"] = progress
    return _move(job, JobState.FAILED, **changes)


def job_progress(*, job: Job, progress: dict[str, Any]) -> bool:
    """Write how far a running job is. False when it no longer runs: it was cancelled, and its worker should stop."""
    running = Job.objects.filter(pk=job.pk, state=JobState.RUNNING).update(progress=progress, seen_at=timezone.now())
    if running:
        publish.job_changed(job)
    return bool(running)


def job_alive(*, job: Job) -> bool:
    """Note that a running job's worker lives. False when the job no longer runs."""
    return bool(Job.objects.filter(pk=job.pk, state=JobState.RUNNING).update(seen_at=timezone.now()))


def jobs_reap(*, now: dt.datetime | None = None) -> int:
    """Fail the jobs whose worker is gone, forget the old ones; answers how many failed."""
    now = now or timezone.now()
    lost = Job.objects.filter(state=JobState.RUNNING, seen_at__lt=now - SILENCE)
    for job in lost:
        job_fail(job=job, message=_("The worker that ran this job is gone. Try again."))
    Job.objects.filter(finished_at__lt=now - KEPT).delete()
    return len(lost)


def _require_place(user: User) -> None:
    # The lock makes two requests of one person count one after the other.
    get_user_model().objects.select_for_update().get(pk=user.pk)
    active = Job.objects.active().filter(created_by=user).count()
    if active >= settings.JOBS_PER_PERSON:
        raise TooManyJobs(
            ngettext(
                "%(n)d job of yours is waiting or running, which is as many as one person may have here: let it end, "
                "or cancel it.",
                "%(n)d jobs of yours are waiting or running, which is as many as one person may have here: let some "
                "end, or cancel them.",
                active,
            )
            % {"n": active}
        )


def _move(job: Job, state: JobState, **changes: Any) -> Job:
    with transaction.atomic():
        current = Job.objects.select_for_update().get(pk=job.pk)
        if state not in TRANSITIONS[current.state]:
            raise IllegalTransition(
                _("This job has already ended: it is %(state)s.") % {"state": current.get_state_display()}
            )
        current.state = state
        if not current.active:
            changes["finished_at"] = timezone.now()
        for field, value in changes.items():
            setattr(current, field, value)
        current.save(update_fields=["state", *changes])
    publish.job_changed(current)
    return current


def _enqueue(job: Job) -> None:
    # By name: the tasks call these services, so these must not import the tasks.
    current_app.send_task("jobs.run", args=(str(job.pk),))
