"""Registries, and the names and passwords by which engines pull from them and push to them."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webui.registries import secrets

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
HUB = "docker.io"


def validate_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise ValidationError(_("Give a host, and a port if it is not 443: registry.example or 10.0.0.5:5000."))


class Registry(models.Model):
    """A registry, in one environment or in all of them. The password is written, used, and never shown."""

    environment = models.ForeignKey(
        "environments.Environment",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="registries",
        help_text=_("Empty: in every environment, those to come included."),
    )
    host = models.CharField(
        _("address"),
        max_length=260,
        validators=[validate_host],
        help_text=_(
            "What images' names begin with, such as ghcr.io or registry.example:5000. Docker Hub is docker.io."
        ),
    )
    username = models.CharField(_("user"), max_length=256, blank=True)
    sealed = models.TextField(blank=True, editable=False)
    note = models.CharField(_("note"), max_length=200, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("host", "environment")
        verbose_name = _("registry")
        verbose_name_plural = _("registries")
        constraints = (
            models.UniqueConstraint(
                fields=("host", "environment"),
                nulls_distinct=False,
                name="registry_once_per_environment",
                violation_error_message=_("This registry is there already."),
            ),
        )

    def __str__(self) -> str:
        return self.host

    @property
    def has_password(self) -> bool:
        return bool(self.sealed)

    @property
    def readable(self) -> bool:
        """Whether the password can still be used: it cannot after the secret key or the host changed."""
        try:
            self.password()
        except secrets.Unreadable:
            return False
        return True

    def set_password(self, password: str) -> None:
        self.sealed = secrets.seal(password, host=self.host) if password else ""

    def password(self) -> str:
        """For the engine alone. `secrets.Unreadable` when it must be typed again."""
        return secrets.unseal(self.sealed, host=self.host) if self.sealed else ""
