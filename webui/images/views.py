"""The image pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webui import gateway
from webui.accounts import policy
from webui.accounts.policy import Action
from webui.environments import bulk
from webui.environments.answers import messages_or_redirect
from webui.environments.models import Environment
from webui.images import commands, comparing, selectors, services
from webui.jobs.models import Job


@policy.view(Action.IMAGE_VIEW)
@require_GET
def image_list(request: HttpRequest, environment: Environment) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    rows = selectors.image_list(environment=environment, query=query)
    context = {"rows": rows, "total": sum(row.image.size for row in rows), "q": query}
    return render(request, "images/_list.html" if request.htmx else "images/list.html", context)


@policy.view(Action.IMAGE_VIEW)
@require_GET
def image_detail(request: HttpRequest, environment: Environment, image_id: str) -> HttpResponse:
    try:
        page = selectors.image_page(environment=environment, image=image_id)
    except gateway.NotFound:
        if not request.htmx:
            raise
        # Somebody removed it while this page was open.
        return render(request, "images/_gone.html")
    context = {"page": page, "image": page.image, "commands": commands.of_image(page.name)}
    return render(request, "images/_detail.html" if request.htmx else "images/detail.html", context)


@policy.view(Action.IMAGE_PULL)
@require_POST
def image_pull(request: HttpRequest, environment: Environment) -> HttpResponse:
    def start() -> Job:
        return services.image_pull(
            environment=environment,
            user=request.user,
            reference=request.POST.get("reference", ""),
            platform=request.POST.get("platform", "").strip(),
        )

    return _begun(request, environment, start, back=reverse("images", kwargs={"env": environment.slug}))


@policy.view(Action.IMAGE_PUSH)
@require_POST
def image_push(request: HttpRequest, environment: Environment, image_id: str) -> HttpResponse:
    def start() -> Job:
        return services.image_push(
            environment=environment, user=request.user, reference=request.POST.get("reference", "")
        )

    back = reverse("image", kwargs={"env": environment.slug, "image_id": image_id})
    return _begun(request, environment, start, back=back)


@policy.view(Action.IMAGE_TAG)
@require_POST
def image_tag(request: HttpRequest, environment: Environment, image_id: str) -> HttpResponse:
    reference = request.POST.get("reference", "")

    def act() -> str:
        services.image_tag(environment=environment, user=request.user, image=image_id, reference=reference)
        return _("%(name)s leads here now.") % {"name": reference.strip()}

    return _done(request, environment, image_id, act)


@policy.view(Action.IMAGE_TAG)
@require_POST
def image_untag(request: HttpRequest, environment: Environment, image_id: str) -> HttpResponse:
    reference = request.POST.get("reference", "")

    def act() -> str:
        services.image_untag(environment=environment, user=request.user, reference=reference)
        return _("%(name)s is taken away.") % {"name": reference}

    return _done(request, environment, image_id, act)


@policy.view(Action.IMAGE_SAVE)
@require_GET
def image_save(
    request: HttpRequest,  # noqa: ARG001 - every view has it
    environment: Environment,
    image_id: str,
) -> StreamingHttpResponse:
    """The image as an archive that `docker load` reads, straight from the engine."""
    with gateway.client(environment) as client:
        image = client.image(image_id)
    name = image.tags[0] if image.tags else image.id.removeprefix("sha256:")[:12]
    answer = StreamingHttpResponse(_archive(environment, image.tags or (image.id,)), content_type="application/x-tar")
    file = "".join(character if character.isalnum() or character in ".-_" else "_" for character in name)
    answer["Content-Disposition"] = f'attachment; filename="{file}.tar"'
    return answer


@policy.view(Action.IMAGE_REMOVE)
@require_POST
def image_remove(request: HttpRequest, environment: Environment) -> HttpResponse:
    outcome = services.images_remove(
        environment=environment,
        user=request.user,
        images=request.POST.getlist("images"),
        force="force" in request.POST,
    )
    done = ngettext("%(n)d image removed.", "%(n)d images removed.", outcome.done) % {"n": outcome.done}
    return bulk.answer(request, environment, outcome, done=done, page="images")


@policy.view(Action.IMAGE_PRUNE)
@require_http_methods(["GET", "POST"])
def image_prune(request: HttpRequest, environment: Environment) -> HttpResponse:
    """What is unused and what it would free; then the job that removes it."""
    if request.method == "POST":

        def start() -> Job:
            return services.images_prune(
                environment=environment, user=request.user, everything=request.POST.get("what") == "all"
            )

        return _begun(request, environment, start, back=request.path)
    return render(request, "images/prune.html", {"page": selectors.prune_page(environment=environment)})


@policy.view(Action.IMAGE_INSPECT)
@require_GET
def image_compare(request: HttpRequest, environment: Environment) -> HttpResponse:
    left, right = (request.GET.get(key, "").strip()[:600] for key in ("a", "b"))
    context: dict[str, object] = {"left": left, "right": right}
    context["names"] = comparing.image_names(environment=environment)
    if left and right:
        try:
            context["comparison"] = comparing.compare(environment=environment, left=left, right=right)
        except (gateway.NotFound, gateway.InvalidRequest) as error:
            context["error"] = str(error)
    return render(request, "images/compare.html", context)


def _begun(request: HttpRequest, environment: Environment, start: Callable[[], Job], *, back: str) -> HttpResponse:
    """The page of the job that *start* began, or its card for a page that asked for a fragment."""
    try:
        job = start()
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return messages_or_redirect(request, back, status=422)
    if request.htmx:
        return render(request, "jobs/_job.html", {"job": job, "may_act": True})
    return redirect("job", env=environment.slug, job_id=job.pk)


def _done(request: HttpRequest, environment: Environment, image_id: str, act: Callable[[], str]) -> HttpResponse:
    """Messages about what *act* did, or why it could not."""
    status = 200
    try:
        messages.success(request, act())
    except ValidationError as error:
        messages.error(request, error.messages[0])
        status = 422
    except gateway.ClientError as error:
        messages.error(request, str(error))
    return messages_or_redirect(request, "image", status=status, env=environment.slug, image_id=image_id)


async def _archive(environment: Environment, names: tuple[str, ...]) -> AsyncIterator[bytes]:
    """The archive in chunks; each is read in a thread, so that one download holds up no other page."""
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        with await asyncio.to_thread(client.save, names) as chunks:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield chunk
