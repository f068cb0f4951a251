"""The pages of long work: what runs, how far it is, how it ended."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.models import Environment
from webui.jobs import services
from webui.jobs.models import Job
from webui.jobs.selectors import jobs_of

PAGE_SIZE = 50


@policy.signed_in
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """The jobs of all environments that the person may see."""
    page = Paginator(jobs_of(request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "jobs/_list.html" if request.htmx else "jobs/list.html", {"page": page})


@policy.signed_in
@require_GET
def job_indicator(request: HttpRequest) -> HttpResponse:
    """The count in the top bar."""
    return render(request, "jobs/_indicator.html", {"running_jobs": jobs_of(request.user).active().count()})


@policy.view(Action.JOB_VIEW)
@require_GET
def job_detail(request: HttpRequest, environment: Environment, job_id: uuid.UUID) -> HttpResponse:
    job = _job(environment, job_id)
    if job.get_absolute_url() != request.path:
        return redirect(job)
    context = {"job": job, "may_act": _may_act(request, environment)}
    return render(request, "jobs/_job.html" if request.htmx else "jobs/detail.html", context)


@policy.view(Action.JOB_CANCEL)
@require_POST
def job_cancel(request: HttpRequest, environment: Environment, job_id: uuid.UUID) -> HttpResponse:
    job = _job(environment, job_id)
    try:
        job = services.job_cancel(job=job, user=request.user)
    except services.IllegalTransition as error:
        messages.error(request, str(error))
    if request.htmx:
        job.refresh_from_db()
        return render(request, "jobs/_job.html", {"job": job, "may_act": True})
    return redirect(job)


@policy.view(Action.JOB_RETRY)
@require_POST
def job_retry(request: HttpRequest, environment: Environment, job_id: uuid.UUID) -> HttpResponse:
    job = _job(environment, job_id)
    policy.require(request.user, policy.action_of_job(job.kind), environment=environment)
    try:
        job = services.job_retry(job=job, user=request.user)
    except services.IllegalTransition as error:
        messages.error(request, str(error))
    except services.TooManyJobs as error:
        messages.error(request, error.message)
    return redirect(job)


def _job(environment: Environment, job_id: uuid.UUID) -> Job:
    job = Job.objects.filter(environment=environment, pk=job_id).select_related("environment", "created_by").first()
    if job is None:
        raise Http404
    return job


def _may_act(request: HttpRequest, environment: Environment) -> bool:
    return policy.allows(request.user, Action.JOB_CANCEL, environment=environment)
