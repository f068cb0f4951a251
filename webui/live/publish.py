"""Tells the open pages what changed, so that they fetch it anew: never the change itself."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from webui.jobs.models import Job

logger = logging.getLogger(__name__)


def environment_group(environment_id: int) -> str:
    return f"environment-{environment_id}"


def user_group(user_id: int) -> str:
    return f"user-{user_id}"


def job_changed(job: Job) -> None:
    """After the commit, for a page that asked earlier would read the old row."""
    message = {"type": "changed", "kind": "job", "id": str(job.pk), "action": job.state}
    transaction.on_commit(lambda: _send(environment_group(job.environment_id), message))


def access_changed(user_id: int, *, session_key: str | None = None) -> None:
    """The person's sockets ask the policy again, at once.

    With *session_key*, that session is at its end: its sockets close without asking, for its row may still be there.
    """
    message = {"type": "access.changed", "left": session_digest(session_key) if session_key else ""}
    transaction.on_commit(lambda: _send(user_group(user_id), message))


def session_digest(session_key: str) -> str:
    """A session's name among those who must not learn its key."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def _send(group: str, message: dict[str, str]) -> None:
    try:
        async_to_sync(get_channel_layer().group_send)(group, message)
    except (OSError, RedisError) as error:
        # What was done stays done: pages fetch anew when they come back, and sockets look for themselves as well.
        logger.warning("nobody was told of a change: %s", error)
