"""Celery's side of jobs: it carries an id to a worker, and wakes the reaper."""

from __future__ import annotations

import logging
import threading

from celery import shared_task

from webui import gateway
from webui.accounts import policy
from webui.jobs import services
from webui.jobs.models import Job
from webui.jobs.runners import JobFailed, JobRun, runner_of

logger = logging.getLogger(__name__)

HEARTBEAT = 1.0
"""Seconds between two looks at the row while the work itself is silent."""


@shared_task(name="jobs.run", acks_late=True, reject_on_worker_lost=True, ignore_result=True)
def run_job(job_id: str) -> None:
    """Carry out a job. Delivered twice, it goes on where the first worker died, or finds nothing left to do."""
    job = Job.objects.select_related("environment", "created_by").filter(pk=job_id).first()
    if job is None or not job.active:
        return
    # The right may have been taken away while the job waited.
    if not policy.allows(job.created_by, policy.action_of_job(job.kind), environment=job.environment):
        services.job_fail(job=job, message="Whoever started this job may no longer do that here.")
        return
    try:
        job = services.job_begin(job=job)
    except services.IllegalTransition:
        return
    run = JobRun(job=job, progress=dict(job.progress))
    with _Heartbeat(run):
        _carry_out(run)


def _carry_out(run: JobRun) -> None:
    try:
        message = runner_of(run.job.kind)(run)
        run.report(force=True)
        if not run.cancelled.is_set():
            services.job_succeed(job=run.job, message=message, progress=run.progress)
    except (JobFailed, gateway.ClientError) as failure:
        if not run.cancelled.is_set():
            _fail(run, str(failure))
    except services.IllegalTransition:
        logger.info("job %s ended while its last report was under way", run.job.pk)
    except Exception:
        logger.exception("job %s broke", run.job.pk)
        _fail(run, "The job broke in a way that Havre did not foresee; the worker's log has the details.")
        raise


def _fail(run: JobRun, message: str) -> None:
    try:
        services.job_fail(job=run.job, message=message, progress=run.progress)
    except services.IllegalTransition:
        logger.info("job %s was cancelled before it failed: %s", run.job.pk, message)


class _Heartbeat:
    """Looks at the row every second from a thread of its own, so that a silent download can be cancelled too."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="job-heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        from django.db import connection

        try:
            while not self._done.wait(HEARTBEAT) and not self._run.cancelled.is_set():
                self._run.beat()
        finally:
            connection.close()


@shared_task(name="jobs.reap", ignore_result=True)
def reap_jobs() -> int:
    """Fail jobs whose worker is gone; beat calls it every half minute."""
    return services.jobs_reap()
