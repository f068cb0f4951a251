"""Long work as rows: whoever started it may close the page, and the worker may die, without losing what happened."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class JobState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


TRANSITIONS: dict[str, frozenset[str]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    # Running again: a worker died, and the broker gave the task to another.
    JobState.RUNNING: frozenset({JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class JobKind(models.TextChoices):
    PULL = "pull", _("Pull")
    PUSH = "push", _("Push")
    BUILD = "build", _("Build")
    LOAD = "load", _("Load")
    IMPORT = "import", _("Import")
    IMAGE_PRUNE = "image-prune", _("Remove unused images")
    COMMIT = "commit", _("Commit")
    VOLUME_PRUNE = "volume-prune", _("Remove unused volumes")


def kinds() -> list[tuple[str, str]]:
    """The choices of `Job.kind`, by a function: a new kind is no change of the database."""
    return list(JobKind.choices)


class JobQuerySet(models.QuerySet["Job"]):
    def active(self) -> JobQuerySet:
        return self.filter(state__in=(JobState.QUEUED, JobState.RUNNING))


class Job(models.Model):
    """One piece of long work: what, where, who, how far, and how it ended."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=kinds)
    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="jobs")
    subject = models.CharField(max_length=600, help_text=_("What it works on, such as debian:12."))
    parameters = models.JSONField(default=dict, help_text=_("What its runner needs; never a secret."))
    state = models.CharField(max_length=20, choices=JobState.choices, default=JobState.QUEUED)
    progress = models.JSONField(default=dict, blank=True, help_text=_("How far it is; its kind knows the shape."))
    message = models.TextField(blank=True, help_text=_("Its last word: the result, or the error."))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="jobs", editable=False
    )
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    retry_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="retries")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text=_("When its worker last gave a sign of life."))
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("state", "seen_at")),)
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}"

    def get_absolute_url(self) -> str:
        """Its page: a build has one of its own."""
        if self.kind == JobKind.BUILD:
            return reverse("build", kwargs={"env": self.environment.slug, "build_id": self.pk})
        return reverse("job", kwargs={"env": self.environment.slug, "job_id": self.pk})

    @property
    def seconds(self) -> int | None:
        """How long it ran; `None` for one that never began, or still runs."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds())

    @property
    def active(self) -> bool:
        return self.state in (JobState.QUEUED, JobState.RUNNING)

    @property
    def can_be_retried(self) -> bool:
        return self.state in (JobState.FAILED, JobState.CANCELLED)
