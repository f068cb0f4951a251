"""The page that loads and imports archives, and the doors through which their pieces come."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments.models import Environment
from webui.images import services, uploads
from webui.images.models import Upload


@policy.view(Action.IMAGE_LOAD)
@require_http_methods(["GET", "POST"])
def image_load(request: HttpRequest, environment: Environment) -> HttpResponse:
    """Choose an archive; or, once it is here, begin the job that the engine takes it by."""
    posted = request.POST if request.method == "POST" else {}
    context = {"piece": uploads.PIECE, "kind": posted.get("kind", "load"), "posted": posted}
    if request.method == "POST":
        try:
            job = _start(request, environment)
        except ValidationError as error:
            context["error"] = error.messages[0]
        else:
            return redirect("job", env=environment.slug, job_id=job.pk)
    return render(request, "images/load.html", context, status=422 if "error" in context else 200)


@policy.view(Action.IMAGE_LOAD)
@require_POST
def upload_begin(request: HttpRequest, environment: Environment) -> HttpResponse:
    """`name` and `size` of a file to come; answers `{"address"}` for its pieces."""
    size = request.POST.get("size", "")
    try:
        upload = uploads.upload_begin(
            environment=environment,
            user=request.user,
            name=request.POST.get("name", "") or _("archive"),
            size=int(size) if size.isdecimal() and len(size) < 18 else 0,
        )
    except ValidationError as error:
        return JsonResponse({"error": error.messages[0]}, status=422)
    address = reverse("upload-piece", kwargs={"env": environment.slug, "upload_id": upload.pk})
    return JsonResponse({"id": str(upload.pk), "address": address})


@policy.view(Action.IMAGE_LOAD)
@require_POST
def upload_piece(request: HttpRequest, environment: Environment, upload_id: uuid.UUID) -> HttpResponse:
    """The body is the piece at `?offset=`; answers `{"received"}`, with 409 where another place was expected."""
    upload = _upload(request, environment, upload_id)
    offset = request.GET.get("offset", "")
    try:
        received = uploads.upload_append(
            upload=upload, offset=int(offset) if offset.isdecimal() and len(offset) < 18 else 0, piece=request.body
        )
    except uploads.WrongPlace as wrong:
        return JsonResponse({"received": wrong.received}, status=409)
    except ValidationError as error:
        return JsonResponse({"error": error.messages[0]}, status=422)
    return JsonResponse({"received": received})


def _upload(request: HttpRequest, environment: Environment, upload_id: object) -> Upload:
    upload = uploads.upload_get(environment=environment, user=request.user, upload_id=upload_id)
    if upload is None:
        raise Http404
    return upload


def _start(request: HttpRequest, environment: Environment) -> services.Job:
    try:
        wanted = uuid.UUID(request.POST.get("upload", ""))
    except ValueError as error:
        raise ValidationError(_("Choose a file.")) from error
    upload = _upload(request, environment, wanted)
    if request.POST.get("kind") == "import":
        return services.image_import(
            environment=environment,
            user=request.user,
            upload=upload,
            reference=request.POST.get("reference", ""),
            changes=[line.strip() for line in request.POST.get("changes", "").splitlines() if line.strip()][:100],
        )
    return services.image_load(environment=environment, user=request.user, upload=upload)
