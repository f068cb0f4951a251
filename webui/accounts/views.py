"""The first start: the administrator's account by the one-time link."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from webui.accounts import policy, services
from webui.accounts.forms import SetupForm
from webui.accounts.models import SetupToken


@policy.public
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    if not services.setup_is_open():
        return redirect("home")
    if SetupToken.find(token) is None:
        return render(request, "setup/void.html", status=404)
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = services.administrator_create(
                token=token, username=form.cleaned_data["username"], password=form.cleaned_data["password"]
            )
        except services.SetupClosed:
            return render(request, "setup/void.html", status=404)
        login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
        messages.success(request, _("Welcome, %(name)s. This engine is yours.") % {"name": user.username})
        return redirect("home")
    return render(request, "setup/form.html", {"form": form}, status=422 if form.errors else 200)


@policy.signed_in
@require_GET
def session(request: HttpRequest) -> HttpResponse:
    """Whether somebody is still signed in: a fresh token for a form that waited, or the way to sign in."""
    answer = HttpResponse(get_token(request), content_type="text/plain")
    answer["Cache-Control"] = "no-store"
    return answer
