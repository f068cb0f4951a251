"""The files of a container: browse, read, download, upload; and all of them as one archive."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header, urlencode
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from webui import bodies, gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.containers import browsing
from webui.containers.views import detail_context
from webui.environments.models import Environment

LONGEST_PATH = 4096


@policy.view(Action.CONTAINER_FILES)
@require_GET
def container_files(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """A directory; as a fragment it is the list alone."""
    context = detail_context(environment, container_id, "files", request)
    path = _path(request.GET.get("path", ""))
    context |= {"path": path, "limit": settings.UPLOAD_LIMIT, "permit": bodies.permit(request.user)}
    try:
        context["folder"] = browsing.folder(
            environment=environment, user=request.user, container=context["container"].id, path=path
        )
    except (gateway.NotFound, gateway.InvalidRequest, gateway.NotSupported) as error:
        context["error"] = str(error)
    return render(request, "containers/_files.html" if request.htmx else "containers/files.html", context)


@policy.view(Action.CONTAINER_FILES)
@require_GET
def container_file(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """A small text, read in the page."""
    context = detail_context(environment, container_id, "files", request)
    context["file"] = browsing.file_view(
        environment=environment,
        user=request.user,
        container=context["container"].id,
        path=_path(request.GET.get("path", "")),
    )
    return render(request, "containers/file.html", context)


@policy.view(Action.CONTAINER_FILES)
@require_GET
def container_download(request: HttpRequest, environment: Environment, container_id: str) -> StreamingHttpResponse:
    """A file as it is, a directory as a tar."""
    name, content = browsing.file_download(
        environment=environment, user=request.user, container=container_id, path=_path(request.GET.get("path", ""))
    )
    return _streamed(name, content)


@policy.view(Action.CONTAINER_EXPORT)
@require_GET
def container_export(request: HttpRequest, environment: Environment, container_id: str) -> StreamingHttpResponse:
    name, content = browsing.container_export(environment=environment, user=request.user, container=container_id)
    return _streamed(name, content)


@policy.view(Action.CONTAINER_UPLOAD)
@require_POST
def container_upload(request: HttpRequest, environment: Environment, container_id: str) -> HttpResponse:
    """Files into a directory, which the list then shows."""
    path, status = _path(request.POST.get("path", "")), 200
    try:
        count = browsing.files_upload(
            environment=environment,
            user=request.user,
            container=container_id,
            path=path,
            files=request.FILES.getlist("files"),
            limit=settings.UPLOAD_LIMIT,
        )
    except (gateway.ClientError, browsing.UploadRefused) as error:
        messages.error(request, str(error))
        status = 422
    else:
        words = ngettext("%(n)d file is in %(path)s.", "%(n)d files are in %(path)s.", count)
        messages.success(request, words % {"n": count, "path": path})
    if request.htmx or "fetch" in request.POST:
        return render(request, "components/_messages.html", status=status)
    address = reverse("container-files", kwargs={"env": environment.slug, "container_id": container_id})
    return redirect(f"{address}?{urlencode({'path': path})}")


def _path(text: str) -> str:
    path = text.replace("\0", "")[:LONGEST_PATH]
    return path if path.startswith("/") else f"/{path}"


def _streamed(name: str, content: AsyncIterator[bytes]) -> StreamingHttpResponse:
    # Never shown in the page's own origin, whatever is in it.
    answer = StreamingHttpResponse(content, content_type="application/octet-stream")
    answer["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    answer["Content-Security-Policy"] = "sandbox"
    return answer
