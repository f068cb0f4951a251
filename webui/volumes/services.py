"""What the pages do to volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from webui import gateway
from webui.accounts import policy
from webui.environments import bulk
from webui.jobs.models import Job, JobKind
from webui.jobs.services import job_start
from webui.volumes.measuring import forget_sizes, known_sizes

if TYPE_CHECKING:
    from webui.accounts.models import User
    from webui.environments.models import Environment

VOLUME_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,249}")


def volume_create(
    *,
    environment: Environment,
    user: User,
    name: str,
    driver: str = "local",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> gateway.VolumeSummary:
    """Make a volume; without a name, the engine finds one. `policy.TooPowerful` for one that leads to the host."""
    policy.require(user, policy.Action.VOLUME_CREATE, environment=environment)
    policy.require_harmless_volume(user, options or {}, environment=environment)
    with gateway.client(environment, timeout=gateway.LONG_PATIENCE) as client:
        return client.create_volume(name, driver=driver, options=options, labels=labels)


def volumes_remove(*, environment: Environment, user: User, volumes: Sequence[str]) -> bulk.Outcome:
    """Remove volumes with their data."""
    policy.require(user, policy.Action.VOLUME_REMOVE, environment=environment)
    outcome = bulk.each(environment=environment, names=volumes, act=lambda client, name: client.remove_volume(name))
    forget_sizes(environment=environment)
    return outcome


def volumes_prune(*, environment: Environment, user: User, volumes: Sequence[str]) -> Job:
    """Begin to remove those of *volumes* that no container has."""
    policy.require(user, policy.Action.VOLUME_PRUNE, environment=environment)
    names = sorted(set(volumes[: bulk.MOST_AT_ONCE]))
    sizes = known_sizes(environment=environment) or {}
    return job_start(
        kind=JobKind.VOLUME_PRUNE,
        environment=environment,
        user=user,
        subject=", ".join(name[:20] for name in names[:3]) + (", …" if len(names) > 3 else ""),
        parameters={"names": names, "sizes": {name: sizes[name] for name in names if name in sizes}},
    )
