"""The runners of the jobs that move images: pull, push, load, import, and removing the unused ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webui import gateway
from webui.environments.templatetags.havre import size
from webui.images.models import Upload
from webui.images.progress import LayerProgress
from webui.images.uploads import upload_complete, upload_forget
from webui.jobs.runners import JobFailed, JobRun
from webui.registries.services import auth_for, reach_of


def run_pull(run: JobRun) -> str:
    """Pull `parameters["reference"]` into the job's environment; answers the engine's own last line."""
    reference, platform = run.job.parameters["reference"], run.job.parameters.get("platform", "")
    with _engine(run) as client:
        auth = auth_for(environment=run.job.environment, reference=reference)
        with client.pull(reference, auth=auth, platform=platform, reach=_reach(run)) as lines:
            return _follow(run, lines).removeprefix("Status: ")


def run_push(run: JobRun) -> str:
    """Push `parameters["reference"]` to the registry that it names; answers the digest by which it is there."""
    reference = run.job.parameters["reference"]
    with _engine(run) as client:
        auth = auth_for(environment=run.job.environment, reference=reference)
        with client.push(reference, auth=auth, reach=_reach(run)) as lines:
            return _follow(run, lines)


def run_load(run: JobRun) -> str:
    """Send the archive of `parameters["upload"]` to the engine; answers the names that it loaded."""
    upload = _upload(run)
    with _engine(run) as client, upload.path.open("rb") as file:
        with client.load(_sent(run, file, upload)) as lines:
            last = _follow(run, lines)
    if not run.cancelled.is_set():
        upload_forget(upload=upload)
    return last


def run_import(run: JobRun) -> str:
    """Make an image of the file system in `parameters["upload"]`, named `parameters["reference"]`."""
    upload = _upload(run)
    parameters = run.job.parameters
    with _engine(run) as client, upload.path.open("rb") as file:
        identifier = client.import_image(
            _sent(run, file, upload), reference=parameters["reference"], changes=parameters["changes"]
        )
    if not run.cancelled.is_set():
        upload_forget(upload=upload)
    return _("Imported as %(id)s.") % {"id": identifier.removeprefix("sha256:")[:12]}


def run_prune(run: JobRun) -> str:
    """Remove the images that no container uses: those without a name, or all."""
    with _engine(run) as client:
        before = {image.id for image in client.images()}
        pruned = client.prune_images(dangling=not run.job.parameters["all"])
        count = len(before - {image.id for image in client.images()})
    run.progress = {"lines": [row.untagged for row in pruned.removed if row.untagged][:20]}
    words = ngettext("%(n)d image removed, %(size)s freed.", "%(n)d images removed, %(size)s freed.", count)
    return words % {"n": count, "size": size(pruned.reclaimed)}


def _engine(run: JobRun) -> gateway.Client:
    return gateway.client(run.job.environment, timeout=gateway.LONG_PATIENCE)


def _reach(run: JobRun) -> gateway.PublicOnly | None:
    """How far the engine may go for the person whose job it is: what they may do is asked now, not when it began."""
    job = run.job
    return reach_of(environment=job.environment, user=job.created_by, reference=job.parameters["reference"])


def _follow(run: JobRun, lines: gateway.Pull) -> str:
    """Report the engine's lines as they come; the last that is about the whole."""
    progress = LayerProgress()
    last = ""
    run.on_cancel(lines.close)
    for event in lines:
        progress.take(event)
        if not event.layer:
            last = event.status or (_("Pushed as %(digest)s.") % {"digest": event.digest} if event.digest else last)
        run.progress = progress.picture()
        run.report()
    run.progress = progress.picture()
    return last


def _upload(run: JobRun) -> Upload:
    upload = upload_complete(environment=run.job.environment, upload_id=run.job.parameters["upload"])
    if upload is None:
        raise JobFailed(_("The archive is not here any more: send it again."))
    return upload


def _sent(run: JobRun, file: IO[bytes], upload: Upload) -> Iterator[bytes]:
    """The archive in pieces, and how much of it the engine has taken."""
    sent = 0
    while piece := file.read(1024 * 1024):
        if run.cancelled.is_set():
            raise gateway.Unreachable(_("It was cancelled."))
        yield piece
        sent += len(piece)
        run.progress = {"current": sent, "total": upload.size}
        run.report()
