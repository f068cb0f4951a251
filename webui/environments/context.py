"""What every page shows around its own content."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from webui.accounts import policy
from webui.environments.selectors import environments_of
from webui.jobs.models import Job


def page(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    environments = list(environments_of(user))
    environment = getattr(request, "environment", None)
    return {
        "environments": environments,
        # Pages that belong to no environment keep the rail of the first one.
        "environment": environment,
        "asked_at": f"{request.asked_at:.6f}",  # type: ignore[attr-defined]
        "rail_environment": environment or (environments[0] if environments else None),
        "may": {action.replace(".", "_") for action in policy.granted(user, environment)} if environment else set(),
        "running_jobs": Job.objects.active().filter(environment__in=environments).count(),
    }
