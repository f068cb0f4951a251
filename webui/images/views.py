"""The image pages."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.models import Environment
from webui.images import selectors, services


@policy.view(Action.IMAGE_VIEW)
@require_GET
def image_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    rows = selectors.image_list(environment=environment, query=query)
    context = {"rows": rows, "total": sum(row.image.size for row in rows), "q": query}
    return render(request, "images/_list.html" if request.htmx else "images/list.html", context)


@policy.view(Action.IMAGE_PULL)
@require_POST
def image_pull(request: HttpRequest, environment: Environment) -> HttpResponse:
    try:
        job = services.image_pull(
            environment=environment, user=request.user, reference=request.POST.get("reference", "")
        )
    except ValidationError as error:
        messages.error(request, error.messages[0])
        if request.htmx:
            return render(request, "components/_messages.html", status=422)
        return redirect("images", env=environment.slug)
    if request.htmx:
        return render(request, "jobs/_job.html", {"job": job, "may_act": True})
    return redirect("job", env=environment.slug, job_id=job.pk)


@policy.view(Action.IMAGE_REMOVE)
@require_POST
def image_remove(request: HttpRequest, environment: Environment) -> HttpResponse:
    done, failures = services.images_remove(
        environment=environment,
        user=request.user,
        images=request.POST.getlist("images")[:500],
        force="force" in request.POST,
    )
    if done:
        messages.success(request, ngettext("%(n)d image removed.", "%(n)d images removed.", done) % {"n": done})
    for name, reason in failures[:5]:
        messages.error(request, f"{name}: {reason}")
    if request.htmx:
        return render(request, "components/_messages.html")
    return redirect("images", env=environment.slug)
