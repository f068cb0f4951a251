"""What the pages do to images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts import policy
from webui.jobs.models import Job, JobKind, JobState
from webui.jobs.services import job_start

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

_REFERENCE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.\-/:@\[\]]{0,511}")


def image_pull(*, environment: Environment, user: User, reference: str) -> Job:
    """Begin to pull. The same reference is not pulled twice at once: the job that does so already is answered."""
    policy.require(user, policy.Action.IMAGE_PULL, environment=environment)
    reference = reference.strip()
    if not _REFERENCE.fullmatch(reference):
        raise ValidationError(_("Give a name such as debian:12 or host:5000/team/app."))
    running = Job.objects.filter(
        kind=JobKind.PULL, environment=environment, subject=reference, state__in=(JobState.QUEUED, JobState.RUNNING)
    ).first()
    return running or job_start(
        kind=JobKind.PULL,
        environment=environment,
        user=user,
        subject=reference,
        parameters={"reference": reference},
    )


def images_remove(
    *, environment: Environment, user: User, images: Sequence[str], force: bool
) -> tuple[int, list[tuple[str, str]]]:
    """Remove images; answers how many went, and for each that did not its name and the engine's words."""
    policy.require(user, policy.Action.IMAGE_REMOVE, environment=environment)
    failures = []
    with gateway.client(environment, timeout=60) as client:
        for image in images:
            try:
                client.remove_image(image, force=force)
            except gateway.ClientError as error:
                failures.append((image, str(error)))
    return len(images) - len(failures), failures
