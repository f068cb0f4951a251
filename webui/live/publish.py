"""Tells the open pages what changed, so that they fetch it anew: never the change itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.jobs.models import Job


def environment_group(environment_id: int) -> str:
    return f"environment-{environment_id}"


def user_group(user_id: int) -> str:
    return f"user-{user_id}"


def job_changed(job: Job) -> None:
    """After the commit, for a page that asked earlier would read the old row."""
    message = {"type": "changed", "kind": "job", "id": str(job.pk), "action": job.state}
    transaction.on_commit(lambda: _send(environment_group(job.environment_id), message))


def access_changed(user: User) -> None:
    """The user's sockets ask the policy again, at once."""
    transaction.on_commit(lambda: _send(user_group(user.pk), {"type": "access.changed"}))


def _send(group: str, message: dict[str, str]) -> None:
    async_to_sync(get_channel_layer().group_send)(group, message)
