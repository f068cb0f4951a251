"""The runner of builds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.utils.translation import gettext as _

from webui import gateway
from webui.builds.contexts import UnusableContext, context
from webui.builds.logs import BuildLog
from webui.builds.models import SSH_KEY
from webui.builds.picture import BuildPicture
from webui.builds.secrets import secrets_forget, secrets_of
from webui.gateway import BuildEventKind
from webui.images.uploads import upload_complete
from webui.jobs.runners import JobFailed, JobRun
from webui.registries.services import auths_of, reach_of


def run_build(run: JobRun) -> str:
    """Build what the job's parameters say (`services.build_start` writes them); answers the image and its names."""
    parameters, environment = run.job.parameters, run.job.environment
    secrets = secrets_of(run.job)
    key = secrets.pop(SSH_KEY, "")
    request = gateway.BuildRequest(
        tags=tuple(parameters["tags"]),
        dockerfile=parameters["path"],
        arguments=parameters["arguments"],
        labels=parameters["labels"],
        target=parameters["target"],
        no_cache=parameters["no_cache"],
        pull=parameters["pull"],
        platform=parameters["platform"],
        network=parameters["network"],
        remote=parameters["remote"],
        build_id=str(run.job.pk),
        auths=auths_of(environment=environment),
        secrets={name: value.encode() for name, value in secrets.items()},
        keys={"default": key.encode()} if key else {},
        reach=reach_of(environment=environment, user=run.job.created_by),
    )
    try:
        with _sent(run) as archive, gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
            with client.build(request, context=archive) as build, BuildLog(run.job.pk) as log:
                run.on_cancel(build.close)
                ended = _follow(run, build, log)
    except UnusableContext as error:
        raise JobFailed(str(error)) from error
    if not run.cancelled.is_set():
        secrets_forget(job=run.job)
    return ended


def _follow(run: JobRun, build: gateway.Build, log: BuildLog) -> str:
    """Report the build's events as they come; how it ended."""
    picture = BuildPicture()
    failure = ""
    for event in build:
        picture.take(event)
        if event.kind is BuildEventKind.LOG:
            log.write(event.step, event.text, error=event.stream == "stderr")
        elif event.kind is BuildEventKind.NOTE:
            log.write(event.step, f"{event.text}\n")
        elif event.kind is BuildEventKind.ERROR:
            failure = event.text or _("The build failed.")
        log.flush()
        run.progress = picture.picture()
        run.report()
    run.progress = picture.picture()
    if failure:
        raise JobFailed(failure)
    if not run.progress["image"]:
        if run.cancelled.is_set():
            return ""
        raise JobFailed(_("The engine ended the build without a word: look at its log."))
    return _built(run.progress)


def _built(progress: dict[str, Any]) -> str:
    short = progress["image"].removeprefix("sha256:")[:12]
    if progress["names"]:
        return _("Built %(id)s, which is %(names)s now.") % {"id": short, "names": ", ".join(progress["names"])}
    return _("Built %(id)s.") % {"id": short}


@contextmanager
def _sent(run: JobRun) -> Iterator[IO[bytes] | None]:
    """The archive to send; `None` where the engine fetches the context itself."""

    def check() -> None:
        if run.cancelled.is_set():
            raise UnusableContext(_("It was cancelled."))

    if run.job.parameters["remote"]:
        yield None
        return
    with context(_upload(run), dockerfile=run.job.parameters["dockerfile"], check=check) as archive:
        yield archive


def _upload(run: JobRun) -> Path | None:
    if not run.job.parameters["upload"]:
        return None
    upload = upload_complete(environment=run.job.environment, upload_id=run.job.parameters["upload"])
    if upload is None:
        raise JobFailed(_("The archive with the context is not here any more: send it again."))
    return upload.path
