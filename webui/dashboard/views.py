"""The way in, and the page that says whether all is well."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from webui.accounts import policy
from webui.accounts.policy import Action
from webui.dashboard import finding, selectors
from webui.environments.models import Environment
from webui.environments.selectors import environments_of


@policy.signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """To the first environment that the person may see."""
    environment = environments_of(request.user).first()
    if environment is None:
        return render(request, "dashboard/nothing.html", status=403)
    return redirect("dashboard", env=environment.slug)


@policy.view(Action.ENVIRONMENT_VIEW)
@require_GET
def dashboard(request: HttpRequest, environment: Environment) -> HttpResponse:
    context = {"overview": selectors.overview(environment=environment)}
    return render(request, "dashboard/_dashboard.html" if request.htmx else "dashboard/dashboard.html", context)


@policy.view(Action.ENVIRONMENT_VIEW)
@require_GET
def find(request: HttpRequest, environment: Environment) -> HttpResponse:
    """The lines of the palette for `?q=`: a fragment."""
    query = request.GET.get("q", "").strip()
    found = finding.find(environment=environment, query=query, granted=policy.granted(request.user, environment))
    return render(request, "dashboard/_found.html", {"found": found, "query": query[: finding.LONGEST]})
