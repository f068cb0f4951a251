"""What the pages do to volumes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webui import gateway
from webui.accounts import policy

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

VOLUME_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,249}")


def volume_create(*, environment: Environment, user: User, name: str) -> gateway.VolumeSummary:
    """Make a volume; `ValidationError` for a name that none can have."""
    policy.require(user, policy.Action.VOLUME_CREATE, environment=environment)
    if not VOLUME_NAME.fullmatch(name):
        raise ValidationError(_("Letters, digits, _ . and -, two at least; the first a letter or digit."))
    with gateway.client(environment) as client:
        return client.create_volume(name)


def volumes_remove(
    *, environment: Environment, user: User, volumes: Sequence[str]
) -> tuple[int, list[tuple[str, str]]]:
    """Remove volumes with their data; how many went, and for each that did not its name and the engine's words."""
    policy.require(user, policy.Action.VOLUME_REMOVE, environment=environment)
    failures = []
    with gateway.client(environment, timeout=60) as client:
        for name in volumes:
            try:
                client.remove_volume(name)
            except gateway.ClientError as error:
                failures.append((name, str(error)))
    return len(volumes) - len(failures), failures
