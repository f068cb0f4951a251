"""Environments: the engines that people work with, Havre's own and any other that speaks Docker's API."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

_URL = re.compile(r"unix:///[^\s?#]+|tcp://[A-Za-z0-9_.\-\[\]:]+:\d{1,5}")


class Kind(models.TextChoices):
    HAVRE = "havre", "Havre"
    DOCKER = "docker", "Docker"


def validate_url(url: str) -> None:
    if not _URL.fullmatch(url):
        raise ValidationError(_("Give unix:///path/to/socket or tcp://host:port."))


class Environment(models.Model):
    """One engine. Number 1 is the local one."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(unique=True, help_text=_("Its place in the URL."))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.DOCKER)
    url = models.CharField(
        _("address"),
        max_length=300,
        validators=[validate_url],
        help_text=_("Such as unix:///run/docker.sock. Whoever opens that socket is root on its host."),
    )

    class Meta:
        ordering = ("id",)
        verbose_name = _("environment")
        verbose_name_plural = _("environments")

    def __str__(self) -> str:
        return self.name

    @property
    def shell_command(self) -> str:
        """A first docker command for it, typed where its address leads."""
        return f"docker -H {self.url} run -ti debian bash"
