"""The volume pages."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments import bulk
from webui.environments.models import Environment
from webui.jobs.services import TooManyJobs
from webui.volumes import commands, measuring, selectors, services
from webui.volumes.forms import VolumeForm


@policy.view(Action.VOLUME_VIEW)
@require_GET
def volume_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    volumes = selectors.volume_list(environment=environment, query=query)
    template = "volumes/_list.html" if request.htmx else "volumes/list.html"
    return render(request, template, {"volumes": volumes, "q": query})


@policy.view(Action.VOLUME_VIEW)
@require_GET
def volume_sizes(request: HttpRequest, environment: Environment) -> HttpResponse:
    """Have the volumes measured since the page was made. It fetches itself anew when that is done."""
    try:
        since = float(request.GET.get("since", ""))
    except ValueError:
        since = time.time()
    answer = HttpResponse(status=204)
    if measuring.measure_sizes(environment=environment, since=since):
        answer["HX-Trigger"] = "volumes:measured"
    return answer


@policy.view(Action.VOLUME_VIEW)
@require_GET
def volume_detail(request: HttpRequest, environment: Environment, name: str) -> HttpResponse:
    try:
        page = selectors.volume_page(environment=environment, name=name)
    except gateway.NotFound:
        if not request.htmx:
            raise
        # Somebody removed it while this page was open.
        return render(request, "volumes/_gone.html")
    context = {
        "page": page,
        "volume": page.volume,
        "command": commands.create_command(page.volume),
        "look": commands.look_command(page.volume),
        "copy": commands.copy_command(page.volume),
    }
    return render(request, "volumes/_detail.html" if request.htmx else "volumes/detail.html", context)


@policy.view(Action.VOLUME_CREATE)
@require_http_methods(["GET", "POST"])
def volume_create(request: HttpRequest, environment: Environment) -> HttpResponse:
    trusted = policy.allows(request.user, Action.CONTAINER_HOST, environment=environment)
    form = VolumeForm(request.POST or None, available=selectors.drivers(environment=environment), trusted=trusted)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        try:
            volume = services.volume_create(
                environment=environment,
                user=request.user,
                name=form.cleaned_data["name"],
                driver=form.driver,
                options=form.driver_options(),
                labels=form.cleaned_data["labels"],
            )
        except (gateway.ClientError, policy.TooPowerful) as error:
            context["error"] = str(error)
        else:
            messages.success(request, _("Volume %(name)s is there.") % {"name": volume.name})
            return redirect("volume", env=environment.slug, name=volume.name)
    return render(request, "volumes/create.html", context, status=422 if request.method == "POST" else 200)


@policy.view(Action.VOLUME_REMOVE)
@require_POST
def volume_remove(request: HttpRequest, environment: Environment) -> HttpResponse:
    outcome = services.volumes_remove(
        environment=environment, user=request.user, volumes=request.POST.getlist("volumes")
    )
    done = ngettext("%(n)d volume removed.", "%(n)d volumes removed.", outcome.done) % {"n": outcome.done}
    return bulk.answer(request, environment, outcome, done=done, page="volumes")


@policy.view(Action.VOLUME_PRUNE)
@require_http_methods(["GET", "POST"])
def volume_prune(request: HttpRequest, environment: Environment) -> HttpResponse:
    """What is unused and how much is in it; then the job that removes what was chosen."""
    if request.method == "POST" and (chosen := request.POST.getlist("volumes")):
        try:
            job = services.volumes_prune(environment=environment, user=request.user, volumes=chosen)
        except TooManyJobs as error:
            messages.error(request, error.message)
        else:
            return redirect("job", env=environment.slug, job_id=job.pk)
    elif request.method == "POST":
        messages.error(request, _("Choose the volumes to remove."))
    # Whoever comes here to remove learns what is in them now, not what was a minute ago.
    within = measuring.CERTAIN if request.htmx else 0
    volumes = selectors.volume_list(environment=environment, query="unused", measured_within=within)
    template = "volumes/_prune.html" if request.htmx else "volumes/prune.html"
    return render(request, template, {"volumes": volumes})
