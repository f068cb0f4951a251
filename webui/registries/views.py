"""The pages of registries."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.answers import messages_or_redirect
from webui.environments.models import Environment
from webui.registries import selectors, services
from webui.registries.forms import RegistryForm
from webui.registries.models import Registry

KNOWN_HOSTS = ("docker.io", "ghcr.io", "registry.gitlab.com", "quay.io", "gcr.io", "public.ecr.aws")


@policy.view(Action.REGISTRY_VIEW)
@require_GET
def registry_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    rows = [
        (registry, services.may_edit(request.user, registry))
        for registry in selectors.registries_of(environment).select_related("environment", "changed_by")
    ]
    return render(request, "registries/list.html", {"rows": rows})


@policy.view(Action.REGISTRY_EDIT)
@require_http_methods(["GET", "POST"])
def registry_create(request: HttpRequest, environment: Environment) -> HttpResponse:
    return _form_page(request, environment, Registry(environment=environment))


@policy.view(Action.REGISTRY_EDIT)
@require_http_methods(["GET", "POST"])
def registry_edit(request: HttpRequest, environment: Environment, registry_id: int) -> HttpResponse:
    registry = _registry(environment, registry_id)
    if not services.may_edit(request.user, registry):
        raise PermissionDenied
    return _form_page(request, environment, registry)


@policy.view(Action.REGISTRY_TEST)
@require_POST
def registry_test(request: HttpRequest, environment: Environment, registry_id: int) -> HttpResponse:
    registry = _registry(environment, registry_id)
    try:
        words = services.registry_test(environment=environment, user=request.user, registry=registry)
    except gateway.ClientError as error:
        messages.error(request, f"{registry.host}: {error}")
    else:
        messages.success(request, f"{registry.host}: {words or _('it answers.')}")
    return messages_or_redirect(request, "registries", env=environment.slug)


@policy.view(Action.REGISTRY_EDIT)
@require_POST
def registry_remove(request: HttpRequest, environment: Environment, registry_id: int) -> HttpResponse:
    registry = _registry(environment, registry_id)
    services.registry_remove(registry=registry, user=request.user)
    messages.success(request, _("%(host)s and its password are forgotten.") % {"host": registry.host})
    return redirect("registries", env=environment.slug)


def _registry(environment: Environment, registry_id: int) -> Registry:
    registry = selectors.registries_of(environment).filter(pk=registry_id).first()
    if registry is None:
        raise Http404
    return registry


def _form_page(request: HttpRequest, environment: Environment, registry: Registry) -> HttpResponse:
    everywhere = policy.allows_everywhere(request.user, Action.REGISTRY_EDIT)
    # The form writes into the row that it is given, also when it is refused: the page tells of the one that is kept.
    kept = registry.host
    form = RegistryForm(request.POST or None, instance=registry, everywhere=everywhere)
    if request.method == "POST" and form.is_valid():
        changed = form.save(commit=False)
        if everywhere:
            changed.environment = None if form.cleaned_data["everywhere"] else environment
        try:
            services.registry_save(registry=changed, user=request.user, password=form.new_password)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("%(host)s is kept. Try it with “Test”.") % {"host": changed.host})
            return redirect("registries", env=environment.slug)
    context = {"form": form, "registry": registry, "kept": kept, "known": KNOWN_HOSTS}
    return render(request, "registries/form.html", context, status=422 if request.method == "POST" else 200)
