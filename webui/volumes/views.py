"""The volume pages."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.models import Environment
from webui.volumes import selectors, services


@policy.view(Action.VOLUME_VIEW)
@require_GET
def volume_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    rows = selectors.volume_list(environment=environment, query=query)
    template = "volumes/_list.html" if request.htmx else "volumes/list.html"
    return render(request, template, {"rows": rows, "q": query})


@policy.view(Action.VOLUME_CREATE)
@require_POST
def volume_create(request: HttpRequest, environment: Environment) -> HttpResponse:
    status = 200
    try:
        volume = services.volume_create(
            environment=environment, user=request.user, name=request.POST.get("name", "").strip()
        )
    except ValidationError as error:
        messages.error(request, error.messages[0])
        status = 422
    except gateway.ClientError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Volume %(name)s is there.") % {"name": volume.name})
    if request.htmx:
        return render(request, "components/_messages.html", status=status)
    return redirect("volumes", env=environment.slug)


@policy.view(Action.VOLUME_REMOVE)
@require_POST
def volume_remove(request: HttpRequest, environment: Environment) -> HttpResponse:
    done, failures = services.volumes_remove(
        environment=environment, user=request.user, volumes=request.POST.getlist("volumes")[:500]
    )
    if done:
        messages.success(request, ngettext("%(n)d volume removed.", "%(n)d volumes removed.", done) % {"n": done})
    for name, reason in failures[:5]:
        messages.error(request, f"{name[:40]}: {reason}")
    if request.htmx:
        return render(request, "components/_messages.html")
    return redirect("volumes", env=environment.slug)
