"""People, teams, and the roles that they have."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _


class Role(models.IntegerChoices):
    """Each role may do all that the one before it may."""

    VIEWER = 1, _("viewer: sees, changes nothing")
    OPERATOR = 2, _("operator: runs containers and images")
    ADMINISTRATOR = 3, _("administrator: everything on that engine, power over its host included")


class User(AbstractUser):
    """A person. A superuser is administrator everywhere, and of people, teams and environments."""

    class Meta(AbstractUser.Meta):
        verbose_name = _("person")
        verbose_name_plural = _("people")


class Team(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams", blank=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name


class Grant(models.Model):
    """A role for a person or a team, in one environment or in all of them."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="grants"
    )
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    environment = models.ForeignKey(
        "environments.Environment",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="grants",
        help_text=_("Empty: in every environment, those to come included."),
    )
    role = models.PositiveSmallIntegerField(_("role"), choices=Role.choices)

    class Meta:
        verbose_name = _("role of a person or team")
        verbose_name_plural = _("roles of people and teams")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, team__isnull=True)
                | models.Q(user__isnull=True, team__isnull=False),
                name="grant_is_for_a_person_or_a_team",
                violation_error_message=_("Choose a person or a team, not both."),
            ),
        )

    def __str__(self) -> str:
        return f"{self.user or self.team}: {self.words}"

    @property
    def words(self) -> str:
        """The role and where it holds, such as "operator everywhere"."""
        role = str(Role(self.role).label).partition(":")[0]
        if self.environment is None:
            return _t("%(role)s everywhere") % {"role": role}
        return _t("%(role)s in %(environment)s") % {"role": role, "environment": self.environment.name}


class SetupToken(models.Model):
    """The one-time link by which the first administrator is made. Only its hash is kept."""

    LIFE = timezone.timedelta(hours=24)

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    @classmethod
    def issue(cls) -> str:
        """A new token; those before it are void."""
        cls.objects.all().delete()
        token = secrets.token_urlsafe(32)
        cls.objects.create(digest=_digest(token))
        return token

    @classmethod
    def find(cls, token: str) -> SetupToken | None:
        """The row of a token that is still good."""
        return cls.objects.filter(digest=_digest(token), created_at__gt=timezone.now() - cls.LIFE).first()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
