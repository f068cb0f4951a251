"""What begins builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction

from webui import gateway
from webui.accounts import policy
from webui.builds.forms import Context
from webui.builds.models import SSH_KEY
from webui.builds.secrets import secrets_keep
from webui.images.models import Upload
from webui.jobs.models import Job, JobKind
from webui.jobs.services import job_start

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment


def build_start(
    *,
    environment: Environment,
    user: User,
    wanted: dict[str, Any],
    dockerfile: str | None,
    upload: Upload | None,
    secrets: dict[str, str] | None = None,
) -> Job:
    """Queue a build. *wanted* is what `BuildForm` has cleaned; *dockerfile* `None` is the context's own.

    *secrets* and the SSH key among what is wanted are kept apart, encrypted: the job's parameters have their names.
    """
    policy.require(user, policy.Action.BUILD_START, environment=environment)
    remote = wanted["remote"].strip() if wanted["context"] == Context.REMOTE else ""
    tags: list[str] = wanted["tags"]
    secrets = secrets or {}
    key: str = wanted["ssh_key"]
    with transaction.atomic():
        job = job_start(
            kind=JobKind.BUILD,
            environment=environment,
            user=user,
            subject=" ".join(tags)[:600] or remote[:600] or (upload.name if upload else "") or "Dockerfile",
            parameters={
                "dockerfile": dockerfile,
                "path": "" if dockerfile is not None else wanted["path"].strip(),
                "upload": str(upload.pk) if upload else "",
                "remote": remote,
                "tags": tags,
                "target": wanted["target"].strip(),
                "arguments": wanted["arguments"],
                "labels": wanted["labels"],
                "platform": wanted["platform"].strip(),
                "network": wanted["network"],
                "no_cache": wanted["no_cache"],
                "pull": wanted["pull"],
                "secrets": sorted(secrets),
                "ssh": bool(key),
            },
        )
        secrets_keep(job=job, user=user, secrets={**secrets, SSH_KEY: key} if key else secrets)
    return job


def dockerfile_check(*, environment: Environment, text: str) -> gateway.LintReport | None:
    """What the engine's build checks find; `None` where it has none."""
    with gateway.client(environment) as client:
        try:
            return client.lint(text)
        except gateway.NotSupported:
            return None
