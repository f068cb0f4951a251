"""What a build keeps beside its job."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from webui.sealing import Unreadable, decrypt, encrypt

_PURPOSE = b"havre secrets of builds, 1"
_JOB = "\0job"
"""Beside the names of the secrets, which have no such letter."""
SSH_KEY = "\0ssh"
"""The private key for `RUN --mount=type=ssh`."""


class BuildSecrets(models.Model):
    """The secrets of a build, by name: written, used, never shown, and gone when the build has succeeded.

    They are encrypted for one job, and used by builds of the person alone who gave them.
    """

    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, related_name="build_secrets", editable=False)
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+", editable=False
    )
    sealed = models.TextField(editable=False)

    class Meta:
        verbose_name = _("secrets of a build")
        verbose_name_plural = _("secrets of builds")

    def __str__(self) -> str:
        return str(self.job)

    def close(self, secrets: dict[str, str]) -> None:
        """Keep *secrets*."""
        self.sealed = encrypt({**secrets, _JOB: str(self.job_id)}, purpose=_PURPOSE)

    def opened(self) -> dict[str, str]:
        """For the engine alone; `Unreadable` when they must be typed again."""
        secrets = decrypt(self.sealed, purpose=_PURPOSE)
        if secrets.pop(_JOB, "") != str(self.job_id):
            raise Unreadable
        return secrets
