"""The build pages."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from csp.constants import NONCE, SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.builds import logs, selectors, services
from webui.builds.forms import BuildForm, Context, SecretFormSet
from webui.environments.models import Environment
from webui.images import uploads
from webui.images.models import Upload
from webui.images.selectors import image_steps
from webui.jobs.models import Job
from webui.jobs.services import TooManyJobs

PAGE_SIZE = 30
_KEPT: Final = ("path", "target", "platform", "network", "no_cache", "pull", "remote")
"""What a build like another one begins with, as it was."""
LONGEST = 200_000
"""Characters of a Dockerfile that are checked while one types."""


@policy.view(Action.BUILD_VIEW)
@require_GET
def build_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    page = Paginator(selectors.builds_of(environment), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "builds/_list.html" if request.htmx else "builds/list.html", {"page": page})


# CodeMirror writes its colours into a style element: the nonce is for that one alone. While one edits, the browser
# itself puts style attributes on what it moves about.
@csp_update({"style-src": [SELF, NONCE], "style-src-attr": [UNSAFE_INLINE]})
@policy.view(Action.BUILD_START)
@require_http_methods(["GET", "POST"])
def build_new(request: HttpRequest, environment: Environment) -> HttpResponse:
    """The editor; `?like=` begins with what an earlier build was made of."""
    like = _like(request, environment)
    form = BuildForm(request.POST or None, initial=_initial(like) if like else {})
    secrets = SecretFormSet(
        request.POST if "secrets-TOTAL_FORMS" in request.POST else None,
        prefix="secrets",
        initial=[{"name": name} for name in like.parameters.get("secrets", [])] if like else [],
    )
    right = (not secrets.is_bound or secrets.is_valid()) and form.is_valid()
    context: dict[str, Any] = {"form": form, "secrets": secrets, "piece": uploads.PIECE}
    context["upload"] = request.POST.get("upload", "")
    if request.method == "POST" and right:
        upload = _upload(request, environment) if form.cleaned_data["context"] == Context.UPLOAD else None
        if form.cleaned_data["context"] == Context.UPLOAD and upload is None:
            form.add_error("context", _("Choose an archive to send."))
        else:
            try:
                job = services.build_start(
                    environment=environment,
                    user=request.user,
                    wanted=form.cleaned_data,
                    dockerfile=form.cleaned_data["dockerfile"] if form.from_editor else None,
                    upload=upload,
                    secrets=secrets.secrets if secrets.is_bound else {},
                )
            except TooManyJobs as error:
                form.add_error(None, error)
            else:
                return redirect(job)
    wrong = request.method == "POST" and (not right or bool(form.errors))
    return render(request, "builds/new.html", context, status=422 if wrong else 200)


@policy.view(Action.BUILD_START)
@require_POST
def build_check(request: HttpRequest, environment: Environment) -> HttpResponse:
    """What the build checks say of `dockerfile`, for the editor: `{"supported", "marks": […]}`."""
    text = request.POST.get("dockerfile", "")
    if len(text) > LONGEST:
        return JsonResponse({"supported": True, "marks": []})
    try:
        report = services.dockerfile_check(environment=environment, text=text)
    except gateway.InvalidRequest:
        report = gateway.LintReport()
    if report is None:
        return JsonResponse({"supported": False, "marks": []})
    marks = [
        {
            "severity": "warning",
            "rule": each.rule,
            "message": each.message,
            "explanation": each.explanation,
            "line": each.at.line,
            "column": each.at.column,
            "length": each.at.length,
            "fix": each.fix_title,
            "edits": [[edit.line, edit.column, edit.end_line, edit.end_column, edit.text] for edit in each.fix],
        }
        for each in report.warnings
    ]
    if (wrong := report.error) is not None:
        at = wrong.at
        marks.append(
            {
                "severity": "error",
                "rule": "",
                "message": wrong.reason,
                "explanation": "",
                "line": at.line,
                "column": at.column,
                "length": at.length,
                "fix": "",
                "edits": [],
            }
        )
    return JsonResponse({"supported": True, "marks": marks})


@policy.view(Action.BUILD_VIEW)
@require_GET
def build_detail(request: HttpRequest, environment: Environment, build_id: uuid.UUID) -> HttpResponse:
    job = _job(environment, build_id)
    may_act = policy.allows(request.user, Action.JOB_CANCEL, environment=environment)
    context = {"job": job, "command": selectors.command_of(job), "may_act": may_act}
    return render(request, "builds/_head.html" if request.htmx else "builds/detail.html", context)


@policy.view(Action.BUILD_VIEW)
@require_GET
def build_state(request: HttpRequest, environment: Environment, build_id: uuid.UUID) -> HttpResponse:
    """How far a build is, and what its steps have printed from `?offset=` on."""
    job = _job(environment, build_id)
    words = policy.allows(request.user, Action.IMAGE_INSPECT, environment=environment)
    offset = request.GET.get("offset", "0")
    read = logs.read(job.pk, offset=int(offset) if offset.isdecimal() and len(offset) < 12 else 0)
    return JsonResponse(
        {
            "state": job.state,
            "active": job.active,
            "message": job.message,
            "now": time.time(),
            "progress": selectors.progress_for(job, words=words),
            "log": read.rows,
            "offset": read.offset,
            "more": read.more,
        }
    )


@policy.view(Action.BUILD_VIEW)
@require_GET
def build_image(request: HttpRequest, environment: Environment, build_id: uuid.UUID) -> HttpResponse:
    """A fragment: the image that was built, layer by layer."""
    image = _job(environment, build_id).progress.get("image")
    found = None
    if image:
        with suppress(gateway.NotFound):  # it was removed since
            found = image_steps(environment=environment, image=image)
    return render(request, "builds/_image.html", {"found": found})


@policy.view(Action.BUILD_VIEW)
@require_GET
def build_log(
    request: HttpRequest,  # noqa: ARG001 - every view has it
    environment: Environment,
    build_id: uuid.UUID,
) -> StreamingHttpResponse:
    """All that the steps have printed, as a text to download."""
    job = _job(environment, build_id)
    answer = StreamingHttpResponse(_text(job), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="build-{str(job.pk)[:8]}.log"'
    return answer


async def _text(job: Job) -> AsyncIterator[str]:
    offset, more = 0, True
    while more:
        read = await asyncio.to_thread(logs.read, job.pk, offset=offset)
        offset, more = read.offset, read.more
        yield "".join(row["t"] for row in read.rows)


def _job(environment: Environment, build_id: uuid.UUID) -> Job:
    job = selectors.builds_of(environment).filter(pk=build_id).first()
    if job is None:
        raise Http404
    return job


def _upload(request: HttpRequest, environment: Environment) -> Upload | None:
    """The archive that the page has sent; `None` where it is not here, or not whole."""
    try:
        wanted = uuid.UUID(request.POST.get("upload", ""))
    except ValueError:
        return None
    upload = uploads.upload_get(environment=environment, user=request.user, upload_id=wanted)
    return upload if upload is not None and upload.complete else None


def _like(request: HttpRequest, environment: Environment) -> Job | None:
    try:
        return selectors.builds_of(environment).filter(pk=uuid.UUID(request.GET.get("like", ""))).first()
    except ValueError:
        return None


def _initial(job: Job) -> dict[str, Any]:
    parameters = job.parameters
    initial = {name: parameters[name] for name in _KEPT}
    for name in ("arguments", "labels"):
        initial[name] = "\n".join(f"{key}={value}" for key, value in parameters[name].items())
    if parameters["dockerfile"] is not None:
        initial["dockerfile"] = parameters["dockerfile"]
    return {
        **initial,
        "tags": " ".join(parameters["tags"]),
        "context": Context.REMOTE if parameters["remote"] else Context.NONE,
    }
