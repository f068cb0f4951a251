"""The pages that make containers: a new one, one like another, one in the place of another."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.containers import commands, creation, selectors
from webui.containers.forms import CreateForms
from webui.environments.models import Environment
from webui.gateway import create_body


@policy.view(Action.CONTAINER_CREATE)
@require_http_methods(["GET", "POST"])
def container_create(request: HttpRequest, environment: Environment) -> HttpResponse:
    """A new container: `?image=` names its image, `?like=` a container whose settings it begins with."""
    like = request.GET.get("like", "")[:128]
    before = None
    if like:
        before = creation.request_like(environment=environment, user=request.user, container=like, beside=True)
    forms = _forms(request, environment, before)
    if not like and request.method == "GET":
        forms.command.initial["image"] = request.GET.get("image", "")[:512]
    context: dict[str, Any] = {"forms": forms, "like": like}
    if request.method == "POST" and forms.is_valid():
        try:
            made = creation.container_create(
                environment=environment, user=request.user, request=forms.request(), start="start" in request.POST
            )
        except creation.StartFailed as error:
            messages.error(request, _("The container was created, but it did not start."))  # its page says why
            return redirect("container", env=environment.slug, container_id=error.container_id[:12])
        except (gateway.ClientError, policy.TooPowerful) as error:
            context |= _told(forms, error)
        else:
            return _made(request, environment, made, _("Container %(name)s is there."))
    return _page(request, context)


@policy.view(Action.CONTAINER_RECREATE)
@require_http_methods(["GET", "POST"])
def container_edit(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """The settings of a container, which is replaced by one with the changed ones."""
    before = creation.request_like(environment=environment, user=request.user, container=container_id, beside=False)
    forms = _forms(request, environment, before)
    container = selectors.container_detail(environment=environment, container=container_id)
    context: dict[str, Any] = {"forms": forms, "container": container}
    if request.method == "POST" and forms.is_valid():
        try:
            made = creation.container_recreate(
                environment=environment, user=request.user, container=container.id, request=forms.request()
            )
        except (gateway.ClientError, policy.TooPowerful, creation.Undone) as error:
            context |= _told(forms, error)
        else:
            return _made(request, environment, made, _("Container %(name)s has its new settings."))
    return _page(request, context)


@policy.view(Action.CONTAINER_CREATE)
@require_POST
def container_check(request: HttpRequest, environment: Environment) -> JsonResponse:
    """What is wrong with the form so far, by field: the page asks when somebody leaves a field."""
    forms = CreateForms(request.POST, networks=_any_network(request), trusted=_trusted(request, environment))
    return JsonResponse({"errors": forms.errors()})


@policy.view(Action.CONTAINER_CREATE)
@require_POST
def container_command(request: HttpRequest, environment: Environment) -> HttpResponse:
    """The docker command that does what the form would do; `?of=` names the container whose settings it began with."""
    before = None
    if of := request.GET.get("of", "")[:128]:
        before = creation.request_like(environment=environment, user=request.user, container=of, beside=False)
    forms = CreateForms(
        request.POST, networks=_any_network(request), before=before, trusted=_trusted(request, environment)
    )
    if not forms.is_valid():
        return render(request, "containers/_command.html", {"mistakes": forms.mistakes})
    wanted = forms.request()
    command = commands.run_command(create_body.body(wanted), name=wanted.name, values=True)
    return render(request, "containers/_command.html", {"command": command})


def _forms(request: HttpRequest, environment: Environment, before: gateway.CreateContainer | None) -> CreateForms:
    return CreateForms(
        request.POST if request.method == "POST" else None,
        networks=selectors.network_names(environment=environment, trusted=_trusted(request, environment)),
        before=before,
        trusted=_trusted(request, environment),
    )


def _trusted(request: HttpRequest, environment: Environment) -> bool:
    return policy.allows(request.user, Action.CONTAINER_HOST, environment=environment)


def _any_network(request: HttpRequest) -> tuple[str, ...]:
    """Whichever networks the form names are taken for some: the engine is not asked at each key."""
    named = [request.POST.get("network", ""), *request.POST.getlist("further")[:100]]
    return tuple(dict.fromkeys(("bridge", "host", "none", *(name[:128] for name in named if name))))


def _told(forms: CreateForms, error: Exception) -> dict[str, Any]:
    """What the page says of an *error*, beside what is said at the fields."""
    if isinstance(error, policy.TooPowerful):
        rest = forms.refuse(error.powers)
        return {"error": " ".join(rest)} if rest else {}
    told = {"error": str(error)}
    if isinstance(error, gateway.NotFound) and "image" in str(error).lower():
        told["missing_image"] = forms.command.cleaned_data["image"]
    return told


def _made(request: HttpRequest, environment: Environment, made: creation.Made, words: str) -> HttpResponse:
    messages.success(request, words % {"name": made.container.name})
    for warning in made.warnings:
        messages.warning(request, warning)
    return redirect("container", env=environment.slug, container_id=made.container.short_id)


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return render(request, "containers/create.html", context, status=422 if request.method == "POST" else 200)
