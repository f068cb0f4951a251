"""Making an image of a container: the form, the service, and the job that does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webui import gateway
from webui.accounts import policy
from webui.environments.templatetags.havre import short
from webui.jobs.models import Job, JobKind
from webui.jobs.runners import JobRun
from webui.jobs.services import job_start

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

_REFERENCE: Final = re.compile(r"(?:[\w.\-\[\]:]+/)?[a-z0-9._/\-]+(?::[\w][\w.\-]{0,127})?", re.ASCII)


class CommitForm(forms.Form):
    reference = forms.CharField(
        label=gettext_lazy("Image"), max_length=512, help_text=gettext_lazy("Name and tag, such as my/app:fixed.")
    )
    comment = forms.CharField(
        label=gettext_lazy("Message"),
        required=False,
        max_length=1000,
        help_text=gettext_lazy("What is different, such as “with curl”."),
    )
    pause = forms.BooleanField(
        label=gettext_lazy("Pause it meanwhile"),
        required=False,
        initial=True,
        help_text=gettext_lazy("So that no file is caught half written."),
    )

    def clean_reference(self) -> str:
        reference: str = self.cleaned_data["reference"].strip()
        if not _REFERENCE.fullmatch(reference):
            raise forms.ValidationError(_("Give a name in small letters and perhaps a tag, such as my/app:fixed."))
        return reference


def container_commit(
    *, environment: Environment, user: User, container: str, reference: str, comment: str, pause: bool
) -> Job:
    """Begin to make the image *reference* of what *container* has written."""
    policy.require(user, policy.Action.CONTAINER_COMMIT, environment=environment)
    with gateway.client(environment) as client:
        found = client.container(container)
    return job_start(
        kind=JobKind.COMMIT,
        environment=environment,
        user=user,
        subject=f"{found.name} → {reference}",
        parameters={"container": found.id, "reference": reference, "comment": comment, "pause": pause},
    )


def run_commit(run: JobRun) -> str:
    """The job's work; once the engine has begun it cannot be stopped, and a cancelled job's image is there as well."""
    wanted = run.job.parameters
    repository, separator, tag = wanted["reference"].rpartition(":")
    if not separator or "/" in tag:
        repository, tag = wanted["reference"], "latest"
    with gateway.client(run.job.environment) as client:
        image = client.commit(
            wanted["container"],
            repository=repository,
            tag=tag,
            comment=wanted["comment"],
            author=str(run.job.created_by or ""),
            pause=wanted["pause"],
        )
    return _("Image %(name)s is there (%(id)s).") % {"name": f"{repository}:{tag}", "id": short(image)}
