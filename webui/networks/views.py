"""The network pages."""

from __future__ import annotations

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
from webui.environments.answers import messages_or_redirect
from webui.environments.models import Environment
from webui.networks import commands, selectors, services
from webui.networks.forms import ConnectForm, NetworkForm


@policy.view(Action.NETWORK_VIEW)
@require_GET
def network_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    rows = selectors.network_list(environment=environment, query=query)
    unused = sum(not row.containers and not row.network.predefined for row in rows)
    template = "networks/_list.html" if request.htmx else "networks/list.html"
    made = any(not row.network.predefined for row in rows)
    return render(request, template, {"rows": rows, "q": query, "unused": unused, "made": made})


@policy.view(Action.NETWORK_VIEW)
@require_GET
def network_row(request: HttpRequest, environment: Environment, network_id: str) -> HttpResponse:
    """One row, for the live list; empty when the network is gone, which takes the row away."""
    row = selectors.network_row(environment=environment, network_id=network_id)
    return HttpResponse("") if row is None else render(request, "networks/_row.html", {"row": row})


@policy.view(Action.NETWORK_VIEW)
@require_GET
def network_detail(request: HttpRequest, environment: Environment, network_id: str) -> HttpResponse:
    try:
        page = selectors.network_page(environment=environment, network_id=network_id)
    except gateway.NotFound:
        if not request.htmx:
            raise
        # Somebody removed it while this page was open.
        return render(request, "networks/_gone.html")
    context = {"page": page, "network": page.network, "command": commands.create_command(page.network)}
    if request.htmx:
        return render(request, "networks/_detail.html", context)
    return render(request, "networks/detail.html", {**context, "form": ConnectForm()})


@policy.view(Action.NETWORK_CREATE)
@require_http_methods(["GET", "POST"])
def network_create(request: HttpRequest, environment: Environment) -> HttpResponse:
    form = NetworkForm(
        request.POST or None,
        available=selectors.drivers(environment=environment),
        routed=selectors.host_routes(environment=environment) if request.method == "POST" else {},
        trusted=policy.allows(request.user, Action.CONTAINER_HOST, environment=environment),
    )
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        try:
            network_id = services.network_create(environment=environment, user=request.user, request=form.request())
        except (gateway.ClientError, policy.TooPowerful) as error:
            context["error"] = str(error)
        else:
            messages.success(request, _("Network %(name)s is there.") % {"name": form.cleaned_data["name"]})
            return redirect("network", env=environment.slug, network_id=network_id[:12])
    return render(request, "networks/create.html", context, status=422 if request.method == "POST" else 200)


@policy.view(Action.NETWORK_CONNECT)
@require_POST
def network_connect(request: HttpRequest, environment: Environment, network_id: str) -> HttpResponse:
    form = ConnectForm(request.POST)
    if form.is_valid():
        try:
            services.network_connect(
                environment=environment, user=request.user, network=network_id, **form.cleaned_data
            )
        except gateway.ClientError as error:
            form.add_error(None, str(error))
        else:
            name = form.cleaned_data["container"]
            messages.success(request, _("Container %(name)s is in the network now.") % {"name": name})
            form = ConnectForm()
    if request.htmx:
        context = {"form": form, "network_id": network_id, "answer": True}
        return render(request, "networks/_connect.html", context, status=422 if form.errors else 200)
    for problems in form.errors.values():
        messages.error(request, problems[0])
    return redirect("network", env=environment.slug, network_id=network_id)


@policy.view(Action.NETWORK_CONNECT)
@require_POST
def network_disconnect(request: HttpRequest, environment: Environment, network_id: str) -> HttpResponse:
    container = request.POST.get("container", "")
    try:
        services.network_disconnect(environment=environment, user=request.user, network=network_id, container=container)
    except gateway.ClientError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The container has left the network."))
    return messages_or_redirect(request, "network", env=environment.slug, network_id=network_id)


@policy.view(Action.NETWORK_REMOVE)
@require_POST
def network_remove(request: HttpRequest, environment: Environment) -> HttpResponse:
    outcome = services.networks_remove(
        environment=environment,
        user=request.user,
        networks=request.POST.getlist("networks"),
        disconnect="disconnect" in request.POST,
    )
    done = ngettext("%(n)d network removed.", "%(n)d networks removed.", outcome.done) % {"n": outcome.done}
    return bulk.answer(request, environment, outcome, done=done, page="networks")


@policy.view(Action.NETWORK_PRUNE)
@require_POST
def network_prune(request: HttpRequest, environment: Environment) -> HttpResponse:
    try:
        names = services.networks_prune(environment=environment, user=request.user)
    except gateway.ClientError as error:
        messages.error(request, str(error))
    else:
        words = ngettext("%(n)d network removed: %(names)s.", "%(n)d networks removed: %(names)s.", len(names))
        told = words % {"n": len(names), "names": ", ".join(names[:10])}
        messages.success(request, told if names else _("Every network has a container in it: none was removed."))
    return messages_or_redirect(request, "networks", env=environment.slug)
