"""What the pages do to images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webui import gateway
from webui.accounts import policy
from webui.environments import bulk
from webui.images.models import Upload
from webui.jobs.models import Job, JobKind
from webui.jobs.services import job_start

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

_REFERENCE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.\-/:@\[\]]{0,511}")
_PLATFORM = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+){0,2}")


def image_pull(*, environment: Environment, user: User, reference: str, platform: str = "") -> Job:
    """Begin to pull. The same reference is not pulled twice at once: the job that does so already is answered."""
    policy.require(user, policy.Action.IMAGE_PULL, environment=environment)
    if platform and not _PLATFORM.fullmatch(platform):
        raise ValidationError(_("A platform is written as linux/arm64."))
    return _once(
        JobKind.PULL,
        environment=environment,
        user=user,
        subject=reference_of(reference),
        parameters={"reference": reference_of(reference), "platform": platform},
    )


def image_push(*, environment: Environment, user: User, reference: str) -> Job:
    """Begin to push a name to the registry that it names."""
    policy.require(user, policy.Action.IMAGE_PUSH, environment=environment)
    reference = reference_of(reference)
    return _once(
        JobKind.PUSH, environment=environment, user=user, subject=reference, parameters={"reference": reference}
    )


def image_load(*, environment: Environment, user: User, upload: Upload) -> Job:
    """Begin to load the images of an archive that `docker save` made."""
    policy.require(user, policy.Action.IMAGE_LOAD, environment=environment)
    _must_be_complete(upload)
    return job_start(
        kind=JobKind.LOAD,
        environment=environment,
        user=user,
        subject=upload.name,
        parameters={"upload": str(upload.pk)},
    )


def image_import(
    *, environment: Environment, user: User, upload: Upload, reference: str, changes: Sequence[str] = ()
) -> Job:
    """Begin to make an image of the file system in an archive, such as `docker export` makes."""
    policy.require(user, policy.Action.IMAGE_LOAD, environment=environment)
    _must_be_complete(upload)
    reference = reference_of(reference)
    return job_start(
        kind=JobKind.IMPORT,
        environment=environment,
        user=user,
        subject=f"{upload.name[:60]} → {reference}",
        parameters={"upload": str(upload.pk), "reference": reference, "changes": list(changes)},
    )


def image_tag(*, environment: Environment, user: User, image: str, reference: str) -> None:
    """Give an image one name more; the name leaves the image that had it."""
    policy.require(user, policy.Action.IMAGE_TAG, environment=environment)
    with gateway.client(environment) as client:
        client.tag(image, reference_of(reference))


def image_untag(*, environment: Environment, user: User, reference: str) -> None:
    """Take a name away, from an image that has another: the last name goes with the image alone."""
    policy.require(user, policy.Action.IMAGE_TAG, environment=environment)
    with gateway.client(environment) as client:
        if len(client.image(reference).tags) < 2:
            raise ValidationError(_("It is the last name: remove the image instead."))
        client.remove_image(reference)


def images_remove(*, environment: Environment, user: User, images: Sequence[str], force: bool) -> bulk.Outcome:
    """Remove images; a conflict is told with what stands in the way and what to do."""
    policy.require(user, policy.Action.IMAGE_REMOVE, environment=environment)

    def remove(client: gateway.Client, image: str) -> None:
        try:
            client.remove_image(image, force=force)
        except gateway.Conflict as error:
            raise gateway.Conflict(f"{error} {_way_out(client, image)}".strip(), status=error.status) from error

    return bulk.each(environment=environment, names=images, act=remove)


def images_prune(*, environment: Environment, user: User, everything: bool) -> Job:
    """Begin to remove the images that no container uses: those without a name, or with *everything* all of them."""
    policy.require(user, policy.Action.IMAGE_PRUNE, environment=environment)
    return _once(
        JobKind.IMAGE_PRUNE,
        environment=environment,
        user=user,
        subject=_("(all)") if everything else _("(without a name)"),
        parameters={"all": everything},
    )


def reference_of(text: str) -> str:
    """What a person typed as an image's name; `ValidationError` for what cannot be one."""
    reference = text.strip()
    if not _REFERENCE.fullmatch(reference):
        raise ValidationError(_("Give a name such as debian:12 or host:5000/team/app."))
    return reference


def _once(kind: JobKind, *, environment: Environment, user: User, subject: str, parameters: dict[str, Any]) -> Job:
    same = Job.objects.active().filter(kind=kind, environment=environment, subject=subject, parameters=parameters)
    return same.first() or job_start(
        kind=kind, environment=environment, user=user, subject=subject, parameters=parameters
    )


def _must_be_complete(upload: Upload) -> None:
    if not upload.complete:
        raise ValidationError(_("The file has not come whole: send it again."))


def _way_out(client: gateway.Client, image: str) -> str:
    """What keeps an image from going, in a sentence or two; empty where that is not known."""
    try:
        found = client.image(image)
    except gateway.ClientError:
        return ""
    users = [each for each in client.containers(all=True) if each.image_id == found.id]
    running = [each.name for each in users if each.running]
    stopped = [each.name for each in users if not each.running]
    words = []
    if running:
        one = _("%(names)s runs from it: remove that container first.")
        many = _("%(names)s run from it: remove those containers first.")
        words.append((one if len(running) == 1 else many) % {"names": ", ".join(running[:5])})
    elif stopped:
        text = ngettext(
            "%(names)s was made from it: remove that container first, or remove the image by force.",
            "%(names)s were made from it: remove those containers first, or remove the image by force.",
            len(stopped),
        )
        words.append(text % {"names": ", ".join(stopped[:5])})
    elif len(found.tags) > 1:
        words.append(_("It has several names: take them away one by one, or remove it by force."))
    return " ".join(words)
