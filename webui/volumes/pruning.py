"""The runner that removes unused volumes: those that the person saw and chose, one by one, and no other.

An engine's own prune takes whatever is unused at that moment, and before API 1.42 it takes named volumes unasked.
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webui import gateway
from webui.environments.templatetags.havre import size
from webui.jobs.runners import JobRun
from webui.volumes.measuring import forget_sizes

_MOST_TOLD = 20


def run_prune(run: JobRun) -> str:
    """Remove `parameters["names"]`; one that has come into use since is left alone, and told."""
    sizes: dict[str, int] = run.job.parameters["sizes"]
    removed, freed, lines = 0, 0, []
    try:
        with gateway.client(run.job.environment, timeout=gateway.LONG_PATIENCE) as client:
            for name in run.job.parameters["names"]:
                if run.cancelled.is_set():
                    break
                try:
                    client.remove_volume(name)
                except gateway.NotFound:
                    continue
                except (gateway.Conflict, gateway.EndpointFault) as error:
                    lines.append(str(error))
                else:
                    removed += 1
                    freed += sizes.get(name, 0)
                run.progress = {"lines": lines[-_MOST_TOLD:], "removed": removed, "freed": freed}
                run.report()
    finally:
        forget_sizes(environment=run.job.environment)
    words = ngettext("%(n)d volume removed, %(size)s freed.", "%(n)d volumes removed, %(size)s freed.", removed)
    told = words % {"n": removed, "size": size(freed)}
    return told + ("" if not lines else " " + _("Left alone: %(n)d.") % {"n": len(lines)})
